import Engine
import Foundation
import Protocol
import TestSupport
import Testing

/// Mutated key files: read, or refused in one line that names the file.
@Suite struct DamagedKeyTests {
    @Test func listsSurviveDamage() throws {
        try inTemporaryFolder { folder in
            let keys = try (0..<3).map { try KeyFile.create("\(folder)/\($0)") }
            let list = "# workers\n\(keys[0])\n  \(keys[1])  the one in the hall\n\n\(keys[2])\n"
            let file = "\(folder)/list"
            var (mutator, read, refused) = (Mutator(seed: 31), 0, 0)
            for _ in 0..<3000 {
                try Data(mutator.mutate(Array(list.utf8))).write(to: URL(fileURLWithPath: file))
                do throws(InputError) {
                    let found = try KeyFile.publicKeys(file)
                    #expect(found.count <= 4)
                    read += 1
                } catch {
                    refused += 1
                    #expect(error.place.hasPrefix(file) && !"\(error)".contains("\n"))
                }
            }
            #expect(read > 100 && refused > 1000, "\(read) read, \(refused) refused")
        }
    }

    @Test(arguments: [true, false]) func keysSurviveDamage(isSecret: Bool) throws {
        try inTemporaryFolder { folder in
            _ = try KeyFile.create("\(folder)/key")
            let original = isSecret ? "\(folder)/key" : "\(folder)/key.pub"
            let whole = Array(try Data(contentsOf: URL(fileURLWithPath: original)))
            let file = "\(folder)/damaged"
            var (mutator, refused) = (Mutator(seed: 32), 0)
            for _ in 0..<1000 {
                try Data(mutator.mutate(whole)).write(to: URL(fileURLWithPath: file))
                try FileManager.default.setAttributes(
                    [.posixPermissions: 0o600],
                    ofItemAtPath: file
                )
                do throws(InputError) {
                    if isSecret {
                        _ = try KeyFile.pair(file)
                    } else {
                        _ = try KeyFile.publicKey(file)
                    }
                } catch {
                    refused += 1
                    #expect(error.place == file && !"\(error)".contains("\n"))
                }
            }
            #expect(refused > 300, "\(refused)")
        }
    }
}
