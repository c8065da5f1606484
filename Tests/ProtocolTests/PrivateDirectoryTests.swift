import Foundation
import Glibc
import Protocol
import Testing

@Suite struct PrivateDirectoryTests {
    /// A directory as a killed process leaves it: with a socket at which nobody listens.
    private func abandoned(age seconds: Int) throws -> String {
        let base = ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"] ?? "/tmp"
        var template = Array("\(base)/tessera-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = String(
            decoding: template.dropLast().map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
        let socket = "\(folder)/coordinator"
        #expect(mknod(socket, S_IFSOCK | 0o600, 0) == 0)
        var times = [timeval](repeating: timeval(tv_sec: time(nil) - seconds, tv_usec: 0), count: 2)
        #expect(utimes(socket, &times) == 0)
        return folder
    }

    @Test func whatKilledProcessesLeftIsRemovedByTheNextOne() throws {
        let (old, new) = (try abandoned(age: 3600), try abandoned(age: 1))
        defer {
            for folder in [old, new] { try? FileManager.default.removeItem(atPath: folder) }
        }
        #expect(FileManager.default.fileExists(atPath: old))
        let next = try PrivateDirectory()
        defer { next.remove() }
        #expect(!FileManager.default.fileExists(atPath: old))
        // Somebody may be about to listen there.
        #expect(FileManager.default.fileExists(atPath: new))
    }
}
