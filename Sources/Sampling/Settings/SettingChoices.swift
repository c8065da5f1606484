import Engine

/// Settings as somebody asked for them: what is not among them is left to the model, or to the defaults.
package struct SettingChoices: Sendable {
    private var changes: [String: @Sendable (inout RenderSettings) -> Void] = [:]

    package init() {}

    /// - Parameter object: values by the settings' names, as `RenderSettings.json` has them
    /// - Throws: `InputError` naming a setting that is unknown, or whose value is of another kind
    package init(json object: [String: JSON]) throws(InputError) {
        let settings = Settings.all
        for (name, value) in object.sorted(by: { $0.key < $1.key }) {
            guard let setting = settings.first(where: { $0.name == name }) else {
                throw InputError(
                    name,
                    "there is no such setting",
                    fix: "Known are " + settings.map(\.name).sorted().joined(separator: ", ")
                )
            }
            try setting.read(value, into: &self)
        }
    }

    /// Nil leaves it as it was.
    package mutating func set<Value>(_ setting: Setting<Value>, to value: Value?) {
        guard let value else { return }
        let path = setting.path
        changes[setting.name] = { $0[keyPath: path] = value }
    }

    /// The same for a setting that the model decides where it is nil.
    package mutating func set<Value>(_ setting: Setting<Value?>, to value: Value?) {
        guard let value else { return }
        let path = setting.path
        changes[setting.name] = { $0[keyPath: path] = value }
    }

    /// Takes the other's choices; where both have one, the other's.
    package mutating func merge(_ other: SettingChoices) {
        changes.merge(other.changes) { $1 }
    }

    package mutating func remove(_ setting: any AnySetting) { changes[setting.name] = nil }

    package func has(_ setting: any AnySetting) -> Bool { changes[setting.name] != nil }

    package func apply(to settings: inout RenderSettings) {
        for change in changes.values { change(&settings) }
    }
}
