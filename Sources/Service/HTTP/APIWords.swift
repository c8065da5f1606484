/// Refusals of commands, in the words of a request: the same checks serve both. Pure.
package enum APIWords {
    /// The field that a place of an `InputError` is about.
    ///
    /// - Parameter place: such as `--bit-depth 16`
    /// - Returns: such as `bitDepth`; what is no flag stays as it is
    package static func field(_ place: String) -> String {
        guard place.hasPrefix("--") else { return place }
        let flag = place.dropFirst(2).prefix { $0 != " " && $0 != ":" }
        // The name of the file is the service's; its form is the client's choice.
        if flag == "output" { return "format" }
        let words = flag.split(separator: "-")
        let joined =
            (words.prefix(1).map(String.init) + words.dropFirst().map(\.capitalized)).joined()
        return JobRequest.fields.contains { $0.name == joined } ? joined : String(flag)
    }

    /// The text with the names of fields in place of flags.
    ///
    /// - Parameter text: such as `--bit-depth 16: a JPEG has 8 bits per channel. Leave it out.`
    /// - Returns: such as `bitDepth 16: …`
    package static func withoutFlags(_ text: String) -> String {
        text.replacing(/(^|[\s('])(--[a-z][a-z0-9-]*)/) { "\($0.1)\(field(String($0.2)))" }
    }
}
