import Engine
import Foundation
import Protocol
import TestSupport
import Testing

@Suite struct KeyTests {
    private func write(_ text: String, _ path: String, mode: Int = 0o600) throws {
        try text.write(toFile: path, atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    @Test func newKeysAreReadAgain() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/a key"
            let made = try KeyFile.create(file)
            #expect(try KeyFile.pair(file).publicKey == made)
            #expect(try KeyFile.publicKey(file + ".pub") == made)
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions]
            #expect(mode as? Int == 0o600)
            // The public file does not reveal the secret, and a key in use is never overwritten.
            let secret = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
            let open = try String(contentsOfFile: file + ".pub", encoding: .utf8)
            #expect(!open.contains(try #require(secret.last)))
            #expect(throws: InputError.self) { try KeyFile.create(file) }
            #expect(try KeyFile.pair(file).publicKey == made)
            #expect(try KeyFile.create("\(folder)/other") != made)
        }
    }

    @Test func badKeyFilesAreNamed() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/key"
            _ = try KeyFile.create(file)
            for mode in [0o640, 0o604, 0o666] {
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
                let error = #expect(throws: InputError.self) { try KeyFile.pair(file) }
                #expect(error?.remedy.contains("chmod 600") == true)
            }
            let key = String(repeating: "a", count: 40)
            let faults = [
                "", "# only words\n", "too short", String(key.dropLast()), key + "a",
                "\"" + key.dropFirst(), "é" + key.dropFirst(),
            ]
            for text in faults {
                try write(text, "\(folder)/bad")
                #expect(throws: InputError.self) { try KeyFile.pair("\(folder)/bad") }
                #expect(throws: InputError.self) { try KeyFile.publicKey("\(folder)/bad") }
            }
            #expect(throws: InputError.self) { try KeyFile.pair("\(folder)/missing") }
            try Data([0xFF, 0xFE, 0]).write(to: URL(fileURLWithPath: "\(folder)/bad"))
            #expect(throws: InputError.self) { try KeyFile.publicKey("\(folder)/bad") }
        }
    }

    @Test func listsOfKeysNameTheLineOfAMistake() throws {
        try inTemporaryFolder { folder in
            let keys = try (0..<2).map { try KeyFile.create("\(folder)/\($0)") }
            let file = "\(folder)/list"
            try write("# workers\n\n  \(keys[0])  the one in the hall\n\(keys[1])\n", file)
            #expect(try KeyFile.publicKeys(file) == Set(keys))
            try write("\(keys[0])\nthe one in the hall\n", file)
            let error = #expect(throws: InputError.self) { try KeyFile.publicKeys(file) }
            #expect(error?.place == "\(file):2")
        }
    }
}
