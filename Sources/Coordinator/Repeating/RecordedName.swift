/// The name of a file that a picture's text gives. Pure.
///
/// A picture may come from a stranger. So its text gives names and no paths: folders in it are dropped, and a person's
/// flags say where to look.
enum RecordedName {
    /// Bytes that file systems allow.
    private static let maxBytes = 255

    /// The last component.
    ///
    /// - Parameters:
    ///   - text: as recorded
    ///   - separators: of folders: those of Windows, too, for other programs
    /// - Returns: nil for what cannot be the name of a file in a folder
    static func last(_ text: String, separators: String = "/\\") -> String? {
        text.split(whereSeparator: { separators.contains($0) }).last.flatMap(checked)
    }

    /// The component before the last one.
    ///
    /// - Returns: nil for none, or for what cannot be the name of a folder
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
