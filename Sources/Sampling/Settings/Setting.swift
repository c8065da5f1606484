import Engine

/// One setting of a render.
///
/// Its flag and help text, its default, the validation of its value, and its representation in the PNG's text chunk and
/// in JSON are all derived from one declaration in `Settings`.
package struct Setting<Value: SettingValue>: AnySetting {
    /// Name of the flag, without dashes; also the key in JSON.
    package let name: String
    /// One or more sentences; `fullHelp` adds the unit and the default.
    package let help: String
    /// Unit of the value.
    package let unit: String?
    /// Placeholder for the value in the help text.
    package let valueName: String?
    /// The value if neither the caller nor the model sets one.
    package let defaultValue: Value
    /// The default in words, if it depends on the model.
    package let defaultNote: String?
    private let limits: SettingLimits<Value>
    private let recorded: SettingRecording
    private let label: SettingLabel?
    /// The value to assume for pictures whose text chunk lacks the setting.
    private let unrecorded: Value
    private let onlyMethod: @Sendable (Value) -> Method?
    let path: WritableKeyPath<RenderSettings, Value> & Sendable

    init(
        _ name: String,
        _ path: WritableKeyPath<RenderSettings, Value> & Sendable,
        default defaultValue: Value,
        help: String,
        unit: String? = nil,
        valueName: String? = nil,
        defaultNote: String? = nil,
        limits: SettingLimits<Value> = .none,
        recorded: SettingRecording = .always,
        unrecorded: Value? = nil,
        label: SettingLabel? = nil,
        onlyMethod: @escaping @Sendable (Value) -> Method? = { _ in nil }
    ) {
        self.onlyMethod = onlyMethod
        (self.name, self.path, self.defaultValue) = (name, path, defaultValue)
        (self.help, self.unit, self.valueName) = (help, unit, valueName)
        (self.defaultNote, self.limits) = (defaultNote, limits)
        (self.recorded, self.label) = (recorded, label)
        self.unrecorded = unrecorded ?? defaultValue
    }

    package func check(
        _ settings: RenderSettings,
        for model: ModelGeometry
    ) throws(InputError) {
        let value = settings[keyPath: path]
        guard let fault = limits.fault(value, model) else { return }
        throw InputError("--\(name)", fault.problem, fix: fault.fix)
    }

    package func isRecorded(of settings: RenderSettings) -> Bool {
        switch recorded {
        case .always: true
        case .whenChanged: isChanged(in: settings)
        case .withPicture: settings.picture != nil
        case .where(let holds): holds(settings)
        case .never: false
        }
    }

    package func isChanged(in settings: RenderSettings) -> Bool {
        settings[keyPath: path] != defaultValue
    }

    package func onlyMethod(in settings: RenderSettings) -> Method? {
        onlyMethod(settings[keyPath: path])
    }

    package var defaultText: String? {
        // A flag that is off by default needs no mention.
        let isTold = !(defaultValue is Bool) && !defaultValue.brief.isEmpty
        return defaultNote ?? (isTold ? defaultValue.brief : nil)
    }

    package var schema: JSON { Value.schema }

    package func json(of settings: RenderSettings) -> JSON { settings[keyPath: path].json }

    package func written(of settings: RenderSettings) -> String { settings[keyPath: path].written }

    package func arguments(recorded json: JSON?) throws(InputError) -> [String] {
        guard let json else {
            return unrecorded == defaultValue ? [] : unrecorded.arguments(named: name)
        }
        guard let value = Value(json: json) else {
            throw InputError(name, "its value cannot be read", fix: "Give \(Value.form)")
        }
        return value.arguments(named: name)
    }

    package var labels: [String] {
        [label?.key, label?.refinedKey].compactMap(\.self)
    }

    package func text(of settings: RenderSettings) -> (key: String, value: String)? {
        guard let label, isRecorded(of: settings) else { return nil }
        guard let key = settings.method == .refine ? label.refinedKey : label.key else {
            return nil
        }
        return (key, label.value?(settings) ?? settings[keyPath: path].written)
    }

    package func read(_ json: JSON, into choices: inout SettingChoices) throws(InputError) {
        guard let value = Value(json: json) else {
            throw InputError(name, "its value cannot be read", fix: "Give \(Value.form)")
        }
        choices.set(self, to: value)
    }
}

/// A setting with its value type erased.
package protocol AnySetting: Sendable {
    var name: String { get }
    var help: String { get }
    var unit: String? { get }
    var valueName: String? { get }
    var defaultNote: String? { get }

    /// Rejects a value that is out of range.
    ///
    /// - Throws: `InputError` naming the flag
    func check(_ settings: RenderSettings, for model: ModelGeometry) throws(InputError)

    /// The default in words; nil if there is nothing to say.
    var defaultText: String? { get }

    /// Whether the value differs from the default.
    func isChanged(in settings: RenderSettings) -> Bool

    /// The only method that uses the setting with its current value; nil if both do.
    func onlyMethod(in settings: RenderSettings) -> Method?

    /// Whether the setting is recorded in the PNG's text chunk.
    func isRecorded(of settings: RenderSettings) -> Bool

    /// JSON Schema of the value.
    var schema: JSON { get }

    /// The value as JSON.
    func json(of settings: RenderSettings) -> JSON

    /// The value as text.
    func written(of settings: RenderSettings) -> String

    /// The command-line arguments that reproduce a picture's value.
    ///
    /// - Parameter json: the value in the picture's text chunk; nil if it is missing
    /// - Returns: command-line arguments; empty if the default is right
    /// - Throws: `InputError` naming the setting if the value has the wrong type
    func arguments(recorded json: JSON?) throws(InputError) -> [String]

    /// The setting's keys in the parameter line that web interfaces exchange.
    var labels: [String] { get }

    /// The setting's key and value in the parameter line that web interfaces exchange; nil if it is not part of it.
    func text(of settings: RenderSettings) -> (key: String, value: String)?

    /// Reads a value from JSON.
    ///
    /// - Throws: `InputError` naming the setting if the value has the wrong type
    func read(_ json: JSON, into choices: inout SettingChoices) throws(InputError)
}

extension AnySetting {
    /// The help text of the flag, with unit and default.
    package var fullHelp: String {
        guard let defaultText else { return plainHelp }
        let suggested = isSuggested ? "what the model suggests, else " : ""
        return "\(plainHelp) (default: \(suggested)\(defaultText))"
    }

    /// The help text without the default.
    package var plainHelp: String { help + (unit.map { ", in \($0)" } ?? "") + "." }

    /// Whether a model's own file may set it.
    private var isSuggested: Bool { Settings.suggestible.contains { $0.name == name } }
}

/// When a setting is recorded in the PNG's text chunk. Settings that were added later are recorded only if changed, so
/// that files of pictures rendered without them stay byte-identical.
package enum SettingRecording: Sendable {
    case always
    case whenChanged
    /// If there is an init image.
    case withPicture
    /// If the condition is true.
    case `where`(@Sendable (RenderSettings) -> Bool)
    /// Because the setting does not affect the picture.
    case never
}

/// A setting's name in the parameter line that web interfaces exchange.
package struct SettingLabel: Sendable, ExpressibleByStringLiteral {
    let key: String
    /// The value to write, if it is not simply the setting's value.
    let value: (@Sendable (RenderSettings) -> String)?

    /// The key with refinement; nil if refinement does not use the setting.
    let refinedKey: String?

    init(
        _ key: String,
        refined: String?,
        _ value: (@Sendable (RenderSettings) -> String)? = nil
    ) {
        (self.key, refinedKey, self.value) = (key, refined, value)
    }

    init(_ key: String, _ value: (@Sendable (RenderSettings) -> String)? = nil) {
        self.init(key, refined: key, value)
    }

    package init(stringLiteral key: String) { self.init(key) }
}

/// Which values a setting accepts.
package struct SettingLimits<Value: SettingValue>: Sendable {
    /// What is wrong with a value for a model, and how to fix it; nil if the value is accepted.
    let fault: @Sendable (Value, ModelGeometry) -> (problem: String, fix: String)?

    /// Accepts every value of the type.
    static var none: Self { Self { _, _ in nil } }
}

extension SettingLimits where Value: Comparable {
    /// - Parameters:
    ///   - range: accepted values; NaN is never in the range
    ///   - fix: advice for values out of range; nil to name the range
    /// - Returns: the limits
    static func range(_ range: ClosedRange<Value>, fix: String? = nil) -> Self {
        let choose =
            fix ?? "Choose \(range.lowerBound.brief) to \(range.upperBound.brief)"
        return Self { value, _ in
            range.contains(value) ? nil : ("\(value.written) is out of range", choose)
        }
    }
}
