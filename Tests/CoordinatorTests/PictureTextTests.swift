import Coordinator
import Engine
import Foundation
import Sampling
import TestSupport
import Testing

/// Reads `parameters` text by the rules of the web interface's parser: the last line holds the settings if it has at
/// least three; a value ends at a comma unless it is quoted, in which case it is JSON; of two values with the same key,
/// the last one counts.
struct ParametersText {
    var prompt = ""
    var negativePrompt = ""
    var settings: [String: String] = [:]

    /// Keys may have hyphens and slashes, as newer parsers allow and older ones do not.
    init(_ text: String, newer: Bool = true) throws {
        var lines = text.trimmingCharacters(in: .whitespacesAndNewlines).components(
            separatedBy: "\n"
        )
        let key = newer ? #"(\w[\w \-/]+)"# : #"([\w ]+)"#
        let pattern = #"\s*"# + key + #":\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)"#
        let field = try NSRegularExpression(pattern: pattern)
        let last = lines.last ?? ""
        let found = field.matches(in: last, range: NSRange(last.startIndex..., in: last))
        if found.count >= 3 {
            lines.removeLast()
            for match in found {
                guard let key = Range(match.range(at: 1), in: last),
                    let value = Range(match.range(at: 2), in: last)
                else { continue }
                settings[String(last[key])] = Self.unquoted(String(last[value]))
            }
        }
        var isNegative = false
        for var line in lines.map({ $0.trimmingCharacters(in: .whitespaces) }) {
            if line.hasPrefix("Negative prompt:") {
                isNegative = true
                line = String(line.dropFirst(16)).trimmingCharacters(in: .whitespaces)
            }
            if isNegative {
                negativePrompt += (negativePrompt.isEmpty ? "" : "\n") + line
            } else {
                prompt += (prompt.isEmpty ? "" : "\n") + line
            }
        }
    }

    private static func unquoted(_ text: String) -> String {
        guard text.hasPrefix("\""), text.hasSuffix("\""),
            case .string(let value)? = try? JSON(text.utf8, place: "value")
        else { return text }
        return value
    }
}

/// What other programs read from a picture's settings.
@Suite struct PictureTextTests {
    private func text(model: String, loras: [LoRASource]) throws -> PictureText {
        let geometry = ModelGeometry(
            nativeLatentSide: 8,
            vaeFactor: 8,
            latentChannels: 4,
            usesTimeIDs: true
        )
        let folder = try #require(Fixtures.networks.first).checkpoint
        let config = try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json")
        let plan = try RenderPlan(
            RenderSettings(size: Extent(height: 64, width: 128), steps: 6, scheduler: .ddim),
            model: geometry,
            scheduler: try Scheduler(.ddim, config: config, steps: 6)
        )
        return PictureText(
            prompt: "a cat, Steps: 3,\nsecond line: \"x\"",
            negativePrompt: "no, rain: none",
            plan: plan,
            model: model,
            loras: loras,
            digest: "0123456789abcdef",
            version: "0.1.0"
        )
    }

    /// Names as people give them to folders and files, and names that break parsers.
    static let names = [
        "plain", "my model, Steps: 5", "a: b", "\"quoted\"", "half \" quoted", "\"",
        "back\\slash, \\",
        "line\nbreak", "\ttab", " spaces ", "return\r", "bell\u{7}", "comma,\u{301}accent", "東京, 2",
        ",", ":", "\\\"", "ends in backslash\\", "\",\"", "\u{2028}x, y", "e\u{301}, 🦊",
    ]

    @Test(arguments: names, [true, false])
    func everyNameIsReadBack(name: String, newer: Bool) throws {
        let sources = [
            LoRASource(path: "/x/\(name).safetensors", weight: 0.5),
            LoRASource(path: "/x/other, one.safetensors"), LoRASource(path: "/x/third", weight: -2),
        ]
        let text = try text(model: name, loras: sources)
        let read = try ParametersText(text.parameters, newer: newer)
        #expect(read.settings["Model"] == name, "\(text.parameters)")
        #expect(read.settings["LoRA"] == "\(name):0.5")
        #expect(read.settings["LoRA 2"] == "other, one:1.0")
        #expect(read.settings["LoRA 3"] == "third:-2.0")
        #expect(read.settings["Steps"] == "6" && read.settings["Size"] == "128x64")
        #expect(read.settings["DemoFusion cosine scales"] == "3 1 1")
        #expect(read.settings["Version"] == "Tessera 0.1.0")
        #expect(read.settings.count == 17)
        #expect(read.prompt == "a cat, Steps: 3,\nsecond line: \"x\"")
        #expect(read.negativePrompt == "no, rain: none")
    }

    /// Plain values are written without quotes, so that programs that do not know quotes can read them.
    @Test func plainValuesHaveNoQuotes() throws {
        let parameters = try text(model: "vista", loras: []).parameters
        #expect(!parameters.split(separator: "\n").suffix(1).joined().contains("\""))
        #expect(parameters.contains(", Model: vista, "))
    }
}
