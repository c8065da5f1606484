import Engine

/// The settings that were chosen explicitly; all others come from the model or the defaults.
package struct SettingChoices: Sendable {
    private var changes: [String: @Sendable (inout RenderSettings) -> Void] = [:]

    package init() {}

    /// - Parameter object: values by setting name, as in `RenderSettings.json`
    /// - Throws: `InputError` naming a setting that is unknown, or whose value has the wrong type
    package init(json object: [String: JSON]) throws(InputError) {
        let settings = Settings.all
        for (name, value) in object.sorted(by: { $0.key < $1.key }) {
            guard let setting = settings.first(where: { $0.name == name }) else {
                throw InputError(
                    name,
                    "it is not a known setting",
                    fix: "Choose from " + settings.map(\.name).sorted().joined(separator: ", ")
                )
            }
            try setting.read(value, into: &self)
        }
    }

    /// Sets a choice; nil changes nothing.
    package mutating func set<Value>(_ setting: Setting<Value>, to value: Value?) {
        guard let value else { return }
        let path = setting.path
        changes[setting.name] = { $0[keyPath: path] = value }
    }

    /// The same for a setting where nil leaves the choice to the model.
    package mutating func set<Value>(_ setting: Setting<Value?>, to value: Value?) {
        guard let value else { return }
        let path = setting.path
        changes[setting.name] = { $0[keyPath: path] = value }
    }

    /// Adds the other's choices, which take precedence.
    package mutating func merge(_ other: SettingChoices) {
        changes.merge(other.changes) { $1 }
    }

    package mutating func remove(_ setting: any AnySetting) { changes[setting.name] = nil }

    package func has(_ setting: any AnySetting) -> Bool { changes[setting.name] != nil }

    /// The choices by setting name, as `init(json:)` reads them.
    package var json: [String: JSON] {
        var settings = RenderSettings(
            size: Settings.size.defaultValue,
            scheduler: Settings.scheduler.defaultValue
        )
        apply(to: &settings)
        var fields: [String: JSON] = [:]
        for setting in Settings.all where has(setting) {
            fields[setting.name] = setting.json(of: settings)
        }
        return fields
    }

    package func apply(to settings: inout RenderSettings) {
        for change in changes.values { change(&settings) }
    }
}
