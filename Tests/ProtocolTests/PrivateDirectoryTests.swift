import Engine
import Foundation
import Glibc
import Protocol
import Testing

@Suite struct PrivateDirectoryTests {
    /// A directory as left by a process that was killed some time after it created one.
    private func abandoned(age seconds: Int, hasSocket: Bool = true) throws -> String {
        let base = ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"] ?? "/tmp"
        var template = Array("\(base)/tessera-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = String(
            decoding: template.dropLast().map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
        if hasSocket { #expect(mknod("\(folder)/coordinator", S_IFSOCK | 0o600, 0) == 0) }
        var times = [timeval](repeating: timeval(tv_sec: time(nil) - seconds, tv_usec: 0), count: 2)
        #expect(utimes(folder, &times) == 0)
        return folder
    }

    @Test func whatKilledProcessesLeftIsRemovedByTheNextOne() throws {
        let old = try abandoned(age: 3600)
        let empty = try abandoned(age: 3600, hasSocket: false)
        let new = try abandoned(age: 1)
        let held = try abandoned(age: 3600)
        defer {
            for folder in [old, empty, new, held] {
                try? FileManager.default.removeItem(atPath: folder)
            }
        }
        let taken = InputError(held, "held", fix: "")
        let lock = try FileLock(folder: held, fix: "", taken: taken)
        let next = try PrivateDirectory()
        defer { next.remove() }
        #expect(!FileManager.default.fileExists(atPath: old))
        #expect(!FileManager.default.fileExists(atPath: empty))
        // Its process may be about to lock it.
        #expect(FileManager.default.fileExists(atPath: new))
        withExtendedLifetime(lock) {
            #expect(FileManager.default.fileExists(atPath: held))
        }
    }

    /// What the next process finds while this one still runs.
    @Test func itsOwnIsLocked() throws {
        let directory = try PrivateDirectory()
        defer { directory.remove() }
        let path = try #require(directory.endpoint.path as NSString?).deletingLastPathComponent
        #expect(FileLock.isHeld(folder: path))
    }
}
