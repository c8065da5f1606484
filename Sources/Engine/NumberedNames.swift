/// A sequence of file names: the given one, then `name-2.png`, `name-3.png` and so on.
package struct NumberedNames: Sequence {
    private let stem: String
    private let ending: String

    /// - Parameter path: the first name; its folder may contain dots
    package init(_ path: String) {
        let start = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        // A name whose only dot is its first character has no extension.
        let dot = path[start...].dropFirst().lastIndex(of: ".") ?? path.endIndex
        (stem, ending) = (String(path[..<dot]), String(path[dot...]))
    }

    package func makeIterator() -> some IteratorProtocol<String> {
        (1...99_999).lazy.map { [stem, ending] number in
            number == 1 ? stem + ending : "\(stem)-\(number)\(ending)"
        }.makeIterator()
    }
}
