/// Translates error messages of commands to the terms of the API, because both share the same checks. Pure.
package enum APIWords {
    /// The API field for the place of an `InputError`.
    ///
    /// - Parameter place: such as `--bit-depth 16`
    /// - Returns: such as `bitDepth`; anything that is not a flag is returned unchanged
    package static func field(_ place: String) -> String {
        guard place.hasPrefix("--") else { return place }
        let flag = place.dropFirst(2).prefix { $0 != " " && $0 != ":" }
        // The file name is chosen by the service, only the format by the client.
        if flag == "output" { return "format" }
        let words = flag.split(separator: "-")
        let joined =
            (words.prefix(1).map(String.init) + words.dropFirst().map(\.capitalized)).joined()
        return JobRequest.fields.contains { $0.name == joined } ? joined : String(flag)
    }

    /// The text, with field names instead of flags.
    ///
    /// - Parameter text: such as `--bit-depth 16: a JPEG has 8 bits per channel. Leave it out.`
    /// - Returns: such as `bitDepth 16: …`
    package static func withoutFlags(_ text: String) -> String {
        text.replacing(/(^|[\s('])(--[a-z][a-z0-9-]*)/) { "\($0.1)\(field(String($0.2)))" }
    }
}
