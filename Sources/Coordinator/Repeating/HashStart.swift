import Engine

/// The first digits of a hash, as pictures record them.
struct HashStart: Equatable {
    /// The digits, in lower case.
    let digits: String

    /// Allowed numbers of hexadecimal digits: at most those of SHA-256 or BLAKE2b-256.
    private static let lengths = 8...64

    /// - Returns: nil if the text cannot be the start of a hash: it would match any file, or none
    init?(_ text: String) {
        let text = text.filter { !$0.isWhitespace }.lowercased()
        guard Self.lengths.contains(text.utf8.count),
            text.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) })
        else { return nil }
        digits = text
    }

    /// Whether a whole hash begins with it.
    func begins(_ hash: String) -> Bool { hash.hasPrefix(digits) }

    /// Whether it is the start of a file's digest.
    func isDigest(ofFile path: String) -> Bool {
        (try? FileDigest.of(path, cache: nil)).map { begins($0) } ?? false
    }
}
