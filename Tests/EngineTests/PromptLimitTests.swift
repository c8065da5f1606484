import Engine
import Foundation
import TestSupport
import Testing

/// Prompts made to break the code that reads them, or to slow it down. Without its limit each of the long ones takes
/// minutes.
@Suite(.timeLimit(.minutes(1))) struct PromptLimitTests {
    private static let fixtures = "\(Fixtures.packageRoot)/Tests/Fixtures"

    private func refusal(
        _ text: String,
        _ syntax: PromptSyntax = .a1111
    ) -> InputError? {
        do throws(InputError) {
            try PromptLimits.check(text, syntax, flag: "--prompt")
            return nil
        } catch {
            return error
        }
    }

    private func times(_ text: String, _ count: Int) -> String {
        String(repeating: text, count: count)
    }

    @Test func whatCannotBeReadOrRecordedIsRefused() {
        let digits = times("9", 400)
        let refused: [(String, String)] = [
            ("a\u{0}b", "NUL"), (times("a", 100_001), "100001 bytes"),
            (times("東", 33_334), "100002 bytes"), (times("(", 65), "64 of its brackets"),
            (times("[", 60_000), "64 of its brackets"), (times("([", 33), "64 of its brackets"),
            (times("<a:b>", 101), "101 tags"), ("a lake :101", "101.0 is out of range"),
            ("a AND b :-1000", "out of range"), ("a :\(digits)", "inf is out of range"),
        ]
        for (text, part) in refused {
            let error = refusal(text)
            #expect(error?.place == "--prompt", "\(text.prefix(40))")
            #expect("\(error as Any)".contains(part), "\(error as Any)")
        }
        let taken = [
            times("a", 100_000), times("(", 64) + "a" + times(")", 64), times("(a) [b] ", 9000),
            times(#"\("#, 1000), times("<a:b>", 100), "a :100 AND b :-100", "a\n\tb\r", "",
        ]
        for text in taken { #expect(refusal(text) == nil, "\(text.prefix(40))") }
        // Only A1111's syntax has brackets and tags.
        for text in [times("(", 9000), times("<a:b>", 200), "a :101"] {
            #expect(refusal(text, .plain) == nil)
        }
        #expect(refusal("a\u{0}", .plain) != nil)
    }

    /// Word weights that overflow, by a number or by nesting, also in a prompt with a schedule.
    @Test func weightsOutOfRangeAreRefused() throws {
        let model = try Model(path: "\(Self.fixtures)/sd15-tiny")
        let digits = times("9", 400)
        for text in [
            "(a:101)", "(a:-100.5)", "(a:\(digits))", "((a:\(digits)):0)", "(b:9\(times("0", 38)))",
            times("(", 50) + "a" + times(")", 50), "[(a:1000):b:0.5]", "[b:(a:1000):0.5]",
        ] {
            for isNegative in [false, true] {
                let wording = PromptWording(
                    isNegative ? "c" : text,
                    negative: isNegative ? text : nil,
                    syntax: .a1111
                )
                let error = #expect(throws: InputError.self, "\(text)") {
                    _ = try PromptPair(wording, steps: 4, guides: true, model: model)
                }
                #expect(error?.place == (isNegative ? "--negative-prompt" : "--prompt"))
                #expect("\(error as Any)".contains("Choose -100 to 100"), "\(error as Any)")
            }
        }
        for text in ["(a:100)", "(a:-100)", "(a:0)", "((((a))))", "(a:1e400)", "a:101 (b)"] {
            let wording = PromptWording(text, syntax: .a1111)
            #expect(throws: Never.self, "\(text)") {
                _ = try PromptPair(wording, steps: 4, guides: true, model: model)
            }
        }
    }

    /// Code that reads a prompt before it can be refused takes time in proportion to its length.
    @Test func longPromptsAreReadOnce() {
        let count = 400_000
        for text in [
            times("<", count), times("<a:", count), times("<a", count), times("<a:>", count),
        ] {
            #expect(PromptTag.tags(in: text).count <= 1)
            #expect(PromptTag.removed(from: text).utf8.count <= text.utf8.count)
        }
        #expect(PromptTag.tags(in: times("<a:b>", count)).count == count)
        #expect(PromptTag.removed(from: times("<a:b>", count)) == "")
        for text in [times("[", count), times("(", count), times("[", count) + times("]", count)] {
            #expect(PromptSyntax.hint(in: text) != nil)
        }
        // The maximum depth: each bracket is looked at once per level.
        let deep = times("[", 64) + times("a:b|", 20_000) + times("]", 64)
        #expect(PromptSyntax.hint(in: deep) != nil)
        #expect(PromptSyntax.hint(in: times("[a", 64) + times("]", 64)) != nil)
    }

    @Test func tagsAreFound() {
        func kinds(_ text: String) -> [String] {
            PromptTag.tags(in: text).map { "\($0.kind) \($0.arguments) \($0.text)" }
        }
        #expect(
            kinds("a <lora:x:0.8:te=1> b") == ["lora [\"x\", \"0.8\", \"te=1\"] <lora:x:0.8:te=1>"]
        )
        #expect(kinds("<<LoRA:x>>") == ["lora [\"x\"] <LoRA:x>"])
        #expect(kinds("<a:<b:c>") == ["a [\"<b\", \"c\"] <a:<b:c>"])
        for text in ["<>", "<a>", "<:a>", "<a b:c>", "<a:>", "<a:b", "a > b < c", "<"] {
            #expect(kinds(text) == [] && PromptTag.removed(from: text) == text, "\(text)")
        }
        #expect(PromptTag.removed(from: "a <b:c> <d:e> f") { $0.kind == "d" } == "a  <d:e> f")
    }

    /// Vectors that make a text encoder return NaN are refused wherever they are read.
    @Test func hugeVectorsAreRefused() throws {
        try inTemporaryFolder { folder in
            for value in [Float(3e38), -1e6, .nan] {
                let path = "\(folder)/huge.safetensors"
                let bytes = Array(repeating: withUnsafeBytes(of: value) { Array($0) }, count: 32)
                let vectors = RawTensor(
                    type: .float32,
                    shape: [1, 32],
                    bytes: bytes.flatMap(\.self)
                )
                try RawTensor.write(["emb_params": vectors], to: path)
                let source = try EmbeddingSource(argument: path)
                let error = #expect(throws: InputError.self) {
                    _ = try PromptPair(
                        positive: "a huge",
                        negative: nil,
                        guides: false,
                        model: Model(
                            path: "\(Self.fixtures)/sd15-tiny",
                            options: ModelOptions(embeddings: [source])
                        )
                    )
                }
                #expect("\(error as Any)".contains("\(path): emb_params"), "\(error as Any)")
                let report = try ModelReport(
                    path: path,
                    options: ModelOptions(),
                    readsWeights: true
                )
                #expect(report.refusal != nil)
                // Inside an adapter.
                let lora = "\(folder)/lora.safetensors"
                try RawTensor.write(
                    [
                        "lora_unet_conv_in.diff_b": RawTensor(zeros: [32]),
                        "bundle_emb.huge.string_to_param.*": vectors,
                    ],
                    to: lora
                )
                let bundled = try ModelReport(
                    path: lora,
                    options: ModelOptions(),
                    readsWeights: true
                )
                #expect(bundled.refusal != nil, "\(bundled.lines)")
            }
        }
    }
}
