import Coordinator
import Engine
import Foundation
import Sampling
import TestSupport
import Testing

/// Seeds, names and wildcards of a series of pictures.
@Suite struct SeriesTests {
    @Test func seedsAreRead() throws {
        #expect(try SeedList.read("1,5,10-12") == [1, 5, 10, 11, 12])
        #expect(try SeedList.read("18446744073709551615") == [.max])
        #expect(try SeedList.consecutive(from: 7, count: 3) == [7, 8, 9])
        for text in ["", "1,,2", "5-1", "a", "-1", "1-2-3", "0-10000", "0-18446744073709551615"] {
            #expect(throws: InputError.self, "\(text)") { try SeedList.read(text) }
        }
        for (first, count) in [(UInt64.max, 2), (0, 0), (0, 10_001)] {
            #expect(throws: InputError.self) {
                try SeedList.consecutive(from: first, count: count)
            }
        }
    }

    private func name(_ template: String, prompt: String = "a lake", index: Int = 3) throws
        -> String
    {
        try NameTemplate(template).path(
            NameFields(
                index: index,
                count: 120,
                start: Date(timeIntervalSince1970: 0),
                prompt: prompt,
                model: "/models/my model.safetensors",
                settings: RenderSettings(size: Extent(height: 64, width: 128), scheduler: .euler)
            ).values
        )
    }

    @Test func namesHaveFields() throws {
        #expect(try name("x/{index}-{seed}.png") == "x/003-0.png")
        #expect(try name("{prompt}.png") == "a-lake.png")
        #expect(try name("{model}_{size}_{steps}.png") == "my-model_128x64_50.png")
        #expect(try name("{scheduler} {width}.png") == "euler 128.png")
        #expect(try name("{{seed}}.png") == "{seed}.png")
        #expect(try name("a{b.png") == "a{b.png")
        #expect(try name("plain.png") == "plain.png")
        #expect(try !NameTemplate("plain.png").hasFields)
        #expect(try NameTemplate("x/{date}/a.png").fixedFolder == "x")
        #expect(try NameTemplate("{date}/a.png").fixedFolder == ".")
        #expect(try NameTemplate("/{date}/a.png").fixedFolder == "/")
        #expect(try NameTemplate("x/{date}.png").fixedFolder == nil)
        #expect(throws: InputError.self) { try NameTemplate("{nothing}.png") }
        for field in NameTemplate.fields { #expect(try !name("{\(field)}.png").contains("{")) }
    }

    /// A prompt cannot name another folder, a hidden file or a name that is too long.
    @Test(arguments: [
        "../../etc/passwd", "/root", ".hidden", "", "…", "a\u{0}b", "a\nb", "con:aux|*?<>\"",
        String(repeating: "東京", count: 300), "-rf",
    ])
    func namesAreSafe(prompt: String) throws {
        let name = try name("{prompt}-{prompt}-{prompt}-{prompt}.png", prompt: prompt)
        #expect(!name.contains("/") && !name.hasPrefix(".") && !name.hasPrefix("-"))
        #expect(name.hasSuffix(".png") && name.utf8.count <= 200 && name.count > 4)
        #expect(
            name.unicodeScalars.allSatisfy {
                $0.value >= 32 && !":|*?<>\"".unicodeScalars.contains($0)
            }
        )
    }

    private func inFolder(_ body: (Wildcards) throws -> Void) throws {
        try inTemporaryFolder { folder in
            try FileManager.default.createDirectory(
                atPath: "\(folder)/animals",
                withIntermediateDirectories: true
            )
            for (name, text) in [
                ("colour", "red\n# no colour\n\n  blue  \n__warm__\n"), ("warm", "orange"),
                ("animals/cats", "lion"), ("loop", "__loop__"), ("empty", "# none\n"),
            ] {
                try text.write(toFile: "\(folder)/\(name).txt", atomically: true, encoding: .utf8)
            }
            try body(try Wildcards(folder: folder))
        }
    }

    @Test func wildcardsFollowFromTheSeed() throws {
        try inFolder { wildcards in
            func expand(_ text: String, _ seed: UInt64) throws -> String {
                try wildcards.expand(text, seed: seed, flag: "--prompt")
            }
            var seen: [String: Int] = [:]
            for seed in 0..<300 as Range<UInt64> {
                let prompt = try expand("a __colour__ {lake|old {stone|wooden} bridge}", seed)
                #expect(try expand("a __colour__ {lake|old {stone|wooden} bridge}", seed) == prompt)
                seen[prompt, default: 0] += 1
            }
            // Three colours with each of three subjects, none much rarer than its share.
            #expect(seen.count == 9 && seen.values.allSatisfy { $0 >= 9 })
            #expect(
                seen.keys.contains("a orange lake") && seen.keys.contains("a blue old stone bridge")
            )
            #expect(try expand("__animals/cats__", 1) == "lion")
            // What is not a wildcard stays, and a backslash keeps what would be one.
            for text in ["snake_case a__b", "{a}", "{", "a | b", "__", "(a:1.2) [b|c]"] {
                #expect(try expand(text, 1) == text)
            }
            #expect(try expand("\\{a\\|b\\}", 1) == "{a|b}")
            for text in ["__none__", "__loop__", "__empty__", "__../colour__"] {
                #expect(throws: InputError.self, "\(text)") { try expand(text, 1) }
            }
            // The prompt and the negative prompt choose independently.
            let pairs = try (0..<50 as Range<UInt64>).map { seed in
                let other = try wildcards.expand("{a|b}", seed: seed, flag: "--negative-prompt")
                return try expand("{a|b}", seed) == other
            }
            #expect(Set(pairs).count == 2)
        }
        #expect(Wildcards.hint(in: "a __colour__ cat") == "__colour__")
        #expect(Wildcards.hint(in: "{a|b}") == "{a|b}")
        #expect(Wildcards.hint(in: "{a} snake_case __") == nil)
    }
}
