import Coordinator
import Engine
import Foundation
import Sampling
import Service
import Testing

/// What clients send, and how it is described.
@Suite struct JobRequestTests {
    private func read(_ text: String) throws -> JobRequest {
        try JobRequest(json: JSON(text.utf8, place: "test"))
    }

    @Test func isReadAndWritten() throws {
        let request = try read(
            """
            {"prompt": "a cat", "negativePrompt": "dogs", "preset": "fine", "settings": {"steps": 5, "seed": "7", "karras": null},
             "format": "tif", "bitDepth": 16, "model": null}
            """
        )
        #expect(request.prompt == "a cat" && request.negativePrompt == "dogs")
        #expect(request.preset == .fine)
        #expect(request.settings == ["steps": .number(5), "seed": .string("7")])
        #expect(request.format == .tif && request.depth == .sixteen && request.model == nil)
        #expect(try JobRequest(json: request.json) == request)
    }

    @Test(arguments: [
        ("[]", "object"), ("{}", "prompt"), (#"{"prompt": 3}"#, "prompt"),
        (#"{"prompt": "a", "x": 1}"#, "x"), (#"{"prompt": "a\u0000"}"#, "NUL"),
        (#"{"prompt": "a", "settings": {"x": 1}}"#, "x"),
        (#"{"prompt": "a", "settings": {"steps": "1"}}"#, "steps"),
        (#"{"prompt": "a", "settings": []}"#, "settings"),
        (#"{"prompt": "a", "bitDepth": 7}"#, "bitDepth"),
        (#"{"prompt": "a", "preset": "best"}"#, "preset"),
    ]) func refusals(_ text: String, _ word: String) {
        let error = #expect(throws: InputError.self) { try read(text) }
        #expect(error?.description.contains(word) == true)
    }

    /// OpenAI's quality levels are our presets.
    @Test(arguments: [
        ("low", "draft"), ("medium", "standard"), ("standard", "standard"), ("high", "fine"),
        ("hd", "fine"), ("auto", nil),
    ]) func qualityIsAPreset(quality: String, preset: String?) throws {
        let text = "{\"prompt\": \"a\", \"quality\": \"\(quality)\"}"
        let wanted = try OpenAIRequest(json: JSON(text.utf8, place: "test"))
        #expect(wanted.request.preset?.rawValue == preset)
    }

    @Test func theLongestPromptIsBounded() {
        var request = JobRequest(prompt: String(repeating: "a", count: JobRequest.maxPrompt))
        #expect(throws: Never.self) { try JobRequest(json: request.json) }
        request.prompt += "a"
        #expect(throws: InputError.self) { try JobRequest(json: request.json) }
    }

    /// An answer parses back to what it was made from, whatever its characters and numbers.
    @Test(arguments: [
        "null", "[]", "{}",
        "[true, false, 0, -0.5, 1e300, 1e-7, 9007199254740992, 0.1, 1764424000.125]",
        #"{"b": "ä𝄞\"\\/\u0000\u001f\n\u007f\u2028", "a": {"": [[], {"x": null}]}}"#,
    ]) func answersAreJSON(_ text: String) throws {
        let json = try JSON(text.utf8, place: "test")
        #expect(try JSON(json.answer, place: "answer") == json)
        let object = try JSONSerialization.jsonObject(
            with: Data(json.answer),
            options: .fragmentsAllowed
        )
        #expect(!json.answer.contains(0x0A) && "\(object)".isEmpty == false)
    }

    /// Every default has the type that the OpenAPI document states.
    @Test func everySettingHasASchema() throws {
        let defaults = RenderSettings(size: Settings.size.defaultValue, scheduler: .ddim)
        for setting in Settings.all {
            let schema = try #require(setting.schema.object)
            let value = setting.json(of: defaults)
            guard value != .null else { continue }
            if let words = schema["enum"]?.array {
                #expect(words.contains(value), "\(setting.name)")
            }
            switch schema["type"]?.string {
            case "integer": #expect(value.integer != nil, "\(setting.name)")
            case "number": #expect(value.number != nil, "\(setting.name)")
            case "boolean": #expect(value.bool != nil, "\(setting.name)")
            case "string": #expect(value.string != nil, "\(setting.name)")
            case "array": #expect(value.array != nil, "\(setting.name)")
            default: #expect(schema["oneOf"] != nil, "\(setting.name)")
            }
        }
    }
}
