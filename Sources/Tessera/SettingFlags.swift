import ArgumentParser
import Sampling

// Flags take their names and help from the declarations of the settings. A flag that was not given is nil; one that was
// given counts as chosen even if it equals the default.

extension Option {
    /// The flag of an optional setting.
    init<Given: ExpressibleByArgument>(_ setting: any AnySetting) where Value == Given? {
        self.init(name: .customLong(setting.name), help: ArgumentHelp(setting))
    }

    /// The flag of a setting whose default is known to the parser.
    init(wrappedValue: Value, _ setting: any AnySetting) where Value: ExpressibleByArgument {
        self.init(
            wrappedValue: wrappedValue,
            name: .customLong(setting.name),
            help: ArgumentHelp(setting.plainHelp, valueName: setting.valueName)
        )
    }
}

extension Flag where Value == Bool {
    init(_ setting: Setting<Bool>) {
        self.init(
            wrappedValue: setting.defaultValue,
            name: .customLong(setting.name),
            help: ArgumentHelp(setting.plainHelp)
        )
    }
}

/// Flags that `--no-` turns off, which the parser's description does not say.
package enum InvertibleFlags {
    package static let names: Set<String> = [Settings.karras.name]
}

extension Flag where Value == Bool? {
    /// The flag of a setting whose default comes from the model; `--no-` turns it off. Must be listed in
    /// `InvertibleFlags`.
    init(_ setting: Setting<Bool>) {
        self.init(
            name: .customLong(setting.name),
            inversion: .prefixedNo,
            help: ArgumentHelp(setting)
        )
    }
}

extension ArgumentHelp {
    init(_ setting: any AnySetting) {
        self.init(setting.fullHelp, valueName: setting.valueName)
    }
}
