import Engine
import Foundation
import Sampling

/// Settings that suit a model, from a JSON file that comes with it: `tessera.json` in a model's folder, or
/// `NAME.tessera.json` beside `NAME.safetensors`. Flags override them.
package struct ModelDefaults: Sendable {
    /// The settings that such a file may contain.
    package static let settings = Settings.suggestible
    /// The key of the negative prompt, which is not a setting.
    private static let negativePromptKey = "negative-prompt"

    /// Path of the file.
    package let path: String
    package let choices: SettingChoices
    package let negativePrompt: String?
    /// Names and values of the settings, as the file has them.
    private let values: [(name: String, text: String)]

    /// Reads the file of a model; nil if there is none.
    ///
    /// - Parameters:
    ///   - model: the model's path
    ///   - geometry: the model's geometry, for limits that depend on it; nil leaves limits to the render
    ///   - memory: the files that were read already
    /// - Throws: `InputError` naming the file and the key that is unknown, of the wrong type or out of range
    package init?(
        ofModel model: String,
        geometry: ModelGeometry?,
        memory: SuggestionMemory = SuggestionMemory()
    ) throws(InputError) {
        let path = Self.path(ofModel: model)
        guard let text = try memory.text(ofModel: model, file: path) else { return nil }
        guard var fields = try JSON(text.utf8, place: path).object else {
            throw InputError(path, "it is not a JSON object", fix: "Write {\"guidance\": 5}")
        }
        self.path = path
        negativePrompt = try Self.negativePrompt(
            fields.removeValue(forKey: Self.negativePromptKey),
            path
        )
        let known = Self.settings.map(\.name)
        if let other = fields.keys.sorted().first(where: { !known.contains($0) }) {
            throw InputError(
                "\(path), \(other)",
                "a model's file cannot set this",
                fix: "Choose from " + (known + [Self.negativePromptKey]).joined(separator: ", ")
            )
        }
        func naming(_ error: InputError) -> InputError {
            let name = error.place.hasPrefix("--") ? String(error.place.dropFirst(2)) : error.place
            return InputError("\(path), \(name)", error.problem, fix: error.remedy)
        }
        do throws(InputError) {
            choices = try SettingChoices(json: fields)
        } catch {
            throw naming(error)
        }
        values =
            fields.sorted { $0.key < $1.key }.map { ($0.key, "\($0.key) \($0.value.brief)") }
            + (negativePrompt == nil ? [] : [(Self.negativePromptKey, "a negative prompt")])
        guard let geometry else { return }
        var settings = RenderSettings(
            size: PictureOptions.defaultSize(for: geometry, picture: nil),
            scheduler: .ddim
        )
        choices.apply(to: &settings)
        do throws(InputError) {
            for setting in Self.settings { try setting.check(settings, for: geometry) }
        } catch {
            throw naming(error)
        }
    }

    /// Names and values of the settings as the file has them, for messages.
    package var summary: String { summary(without: []) ?? "nothing" }

    /// The summary without some settings; nil if nothing is left.
    func summary(without names: Set<String>) -> String? {
        let rest = values.filter { !names.contains($0.name) }.map(\.text)
        return rest.isEmpty ? nil : rest.joined(separator: ", ")
    }

    /// Names of the settings that it contains.
    var names: [String] { Self.settings.filter { choices.has($0) }.map(\.name) }

    /// Path of a model's settings file, whether or not it exists.
    private static func path(ofModel model: String) -> String {
        FileKind(model) == .folder
            ? "\(model)/tessera.json"
            : URL(fileURLWithPath: model).deletingPathExtension().path + ".tessera.json"
    }

    private static func negativePrompt(_ json: JSON?, _ path: String) throws(InputError) -> String?
    {
        guard let json else { return nil }
        guard let text = json.string else {
            throw InputError(
                "\(path), \(negativePromptKey)",
                "it is not a string",
                fix: "Write it in quotes"
            )
        }
        return text
    }
}

extension JSON {
    /// The value as one line of text.
    var brief: String {
        switch self {
        case .string(let text): text
        case .number(let number): number.written.replacing(/\.0$/, with: "")
        case .bool(let value): "\(value)"
        case .array(let items): items.map(\.brief).joined(separator: ",")
        default: "…"
        }
    }
}
