import Engine
import Foundation

/// The file with a cluster's invitations and members. Any process of its user may change it, under a lock; a running
/// coordinator rereads it when it has changed.
package struct JoinFolder: Sendable {
    /// The cluster's folder.
    package let path: String

    package init(path: String) {
        self.path = path
    }

    /// Path of the file with the invitations and members.
    package var file: String { "\(path)/joined.json" }

    private static let maxBytes = 1 << 22
    /// How long to wait for another process that is changing the file, which takes milliseconds.
    private static let patience: Duration = .seconds(1)

    /// Reads the invitations and members; empty if the file does not exist.
    ///
    /// - Throws: `InputError` if the file is damaged or unreadable
    package func book() throws(InputError) -> JoinBook {
        guard FileManager.default.fileExists(atPath: file) else { return JoinBook() }
        let bytes = try InputFile.bytes(file, limit: Self.maxBytes)
        guard let book = try? JSONDecoder().decode(JoinBook.self, from: Data(bytes)),
            book.format == 1
        else {
            throw InputError(
                file,
                "it is damaged, or of another version of Tessera",
                fix: "Remove it and invite the machines again"
            )
        }
        return book
    }

    /// Reads, changes and writes the file, under a lock.
    ///
    /// - Throws: `InputError` if the file is damaged, `OutputError` if it cannot be written, and whatever `body` throws
    package func change<Result>(_ body: (inout JoinBook) throws -> Result) throws -> Result {
        try PrivateFolder.make(path)
        let lock = try FileLock(waitingFor: "\(path)/joined.lock", atMost: Self.patience)
        return try withExtendedLifetime(lock) {
            let before = try book()
            var book = before
            let result = try body(&book)
            if book != before { try write(book) }
            return result
        }
    }

    private func write(_ book: JoinBook) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        let temporary = try TemporaryFile(for: file)
        guard fchmod(temporary.descriptor, 0o600) == 0 else {
            throw OutputError(file, String(cString: strerror(errno)))
        }
        try temporary.write(Array(try encoder.encode(book)))
        try temporary.commit()
    }
}
