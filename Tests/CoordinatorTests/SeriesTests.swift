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

    /// A prompt cannot produce another folder, a hidden file or a name that is too long.
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

    /// Every file or folder name with a field in it fits the limits of file systems, and is cut between characters.
    @Test func namesAreBoundedInBytes() throws {
        let accented = "e" + String(repeating: "\u{301}", count: 400)
        for prompt in [
            String(repeating: "東京", count: 300), String(repeating: "👩‍👩‍👧‍👦", count: 60), accented,
            String(repeating: accented, count: 60), String(repeating: "a", count: 300),
        ] {
            let path = try name(
                "x/{prompt}{prompt}{prompt}{prompt}/{prompt}/{prompt}.png",
                prompt: prompt
            )
            let names = path.split(separator: "/", omittingEmptySubsequences: false)
            #expect(names.count == 4 && names[0] == "x" && names[3].hasSuffix(".png"), "\(path)")
            for name in names {
                #expect((1...200).contains(name.utf8.count), "\(name.utf8.count) bytes")
                // No part of a character is left over.
                #expect(!name.contains("\u{FFFD}"))
            }
        }
        // Cut at whole characters, as long as one has fewer bytes than a name.
        let cut = try name(
            "{prompt}{prompt}{prompt}{prompt}",
            prompt: String(repeating: "東", count: 60)
        )
        #expect(cut == String(repeating: "東", count: 66))
        // What the user spelled out is left alone, and refused if it is too long.
        let long = String(repeating: "b", count: 250)
        #expect(try name("\(long)/{seed}.png") == "\(long)/0.png")
        #expect(throws: InputError.self) {
            try NameTemplate(String(repeating: "{", count: 100_000))
        }
    }

    /// Files that each name the next one twice would make a billion replacements.
    @Test(.timeLimit(.minutes(1))) func nestedWildcardsAreBounded() throws {
        try inTemporaryFolder { folder in
            for i in 0..<30 {
                try "__a\(i + 1)____a\(i + 1)__\n"
                    .write(toFile: "\(folder)/a\(i).txt", atomically: true, encoding: .utf8)
            }
            try "{|}\n".write(toFile: "\(folder)/a30.txt", atomically: true, encoding: .utf8)
            try (String(repeating: "x", count: 6_000_000) + "\n")
                .write(toFile: "\(folder)/big.txt", atomically: true, encoding: .utf8)
            let wildcards = try Wildcards(folder: folder)
            for text in [
                "__a0__", "__a5__ __a5__", "__big__", String(repeating: "a", count: 100_001),
            ] {
                #expect(throws: InputError.self, "\(text.prefix(20))") {
                    try wildcards.expand(text, seed: 1, flag: "--prompt")
                }
            }
            #expect(try wildcards.expand("__a20__", seed: 1, flag: "--prompt") == "")
            // Unclosed braces are scanned only once.
            for text in ["{", "{a", "{|"] {
                let long = String(repeating: text, count: 50_000)
                #expect(try wildcards.expand(long, seed: 1, flag: "--prompt") == long)
                #expect(Wildcards.hint(in: String(repeating: text, count: 400_000)) == nil)
            }
            let deep = String(repeating: "{a|", count: 20) + "b" + String(repeating: "}", count: 20)
            #expect(["a", "b"].contains(try wildcards.expand(deep, seed: 1, flag: "--prompt")))
        }
    }

    /// A path that cannot become a file is refused before anything is rendered.
    @Test func pathsAreChecked() throws {
        try inTemporaryFolder { folder in
            try "".write(toFile: "\(folder)/file", atomically: true, encoding: .utf8)
            func refusal(_ path: String, dump: String? = nil) -> InputError? {
                do throws(InputError) {
                    try RenderSession.Outputs(picture: path, dump: dump).validate()
                    return nil
                } catch {
                    return error
                }
            }
            let (long, path) = (
                String(repeating: "a", count: 237), String(repeating: "b/", count: 2100)
            )
            for (name, part) in [
                ("a.png/", "name of a file"), (".png", "before the extension"),
                ("..png", "before the extension"), ("\(long).png", "has 241 bytes"),
                ("\(long)b.webp", "has 243 bytes"), ("東\(long).png", "has 244 bytes"),
                ("\(path)a.png", "bytes"), ("a\u{0}.png", "NUL"),
                ("nowhere/a.png", "cannot be written"),
                ("file/a.png", "cannot be written"), ("\(long)\(long)/a.png", "has 474 bytes"),
            ] {
                let error = refusal("\(folder)/\(name)")
                #expect("\(error as Any)".contains(part), "\(name.prefix(60)): \(error as Any)")
            }
            for name in [
                "a.png", "a..png", ".a.png", "a.b.png", "\(long.dropLast()).png", "a .png",
            ] {
                #expect(refusal("\(folder)/\(name)") == nil, "\(name)")
            }
            let one = "\(folder)/one.png"
            for dump in [one, "\(folder)/./one.png", "\(folder)/", "\(folder)/.safetensors"] {
                #expect(refusal(one, dump: dump)?.place == "--dump \(dump)", "\(dump)")
            }
            #expect(refusal(one, dump: "\(folder)/one.safetensors") == nil)
        }
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
            // What is not a wildcard stays, and a backslash escapes what would be one.
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
