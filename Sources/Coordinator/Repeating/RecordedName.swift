/// The name of a file in a picture's text. Pure.
///
/// A picture may come from a stranger, so only names are taken from its text, and no paths: folders are dropped, and
/// the user's flags say where to look.
enum RecordedName {
    /// Maximum length of a name in file systems, in bytes.
    private static let maxBytes = 255

    /// The last component.
    ///
    /// - Parameters:
    ///   - text: the recorded name or path
    ///   - separators: folder separators, which for other programs include that of Windows
    /// - Returns: nil if it cannot be the name of a file in a folder
    static func last(_ text: String, separators: String = "/\\") -> String? {
        text.split(whereSeparator: { separators.contains($0) }).last.flatMap(checked)
    }

    /// The component before the last one.
    ///
    /// - Returns: nil if there is none, or it cannot be the name of a folder
    static func folder(_ text: String) -> String? {
        let parts = text.split(whereSeparator: { "/\\".contains($0) })
        return parts.dropLast().last.flatMap(checked)
    }

    private static func checked(_ part: Substring) -> String? {
        let name = String(part)
        guard ![".", ".."].contains(name), name.utf8.count <= maxBytes,
            !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
        else { return nil }
        return name
    }
}
