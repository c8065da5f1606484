import Engine
import Foundation

/// A value type of settings, with its text and JSON forms.
package protocol SettingValue: Equatable, Sendable {
    /// The text form, as in the PNG's text chunk and on the command line.
    var written: String { get }
    var json: JSON { get }
    /// Returns nil for JSON of the wrong type.
    init?(json: JSON)
    /// The expected type in words, for errors: "a whole number".
    static var form: String { get }
    /// The expected JSON, as JSON Schema.
    static var schema: JSON { get }
    /// The command-line flag that sets this value; empty for a value that no flag can set.
    func arguments(named name: String) -> [String]
}

extension SettingValue {
    package func arguments(named name: String) -> [String] { ["--\(name)=\(written)"] }
}

extension SettingValue {
    /// A number without a trailing ".0".
    var brief: String { written.hasSuffix(".0") ? String(written.dropLast(2)) : written }
}

extension Int: SettingValue {
    package var written: String { "\(self)" }
    package var json: JSON { .number(Double(self)) }
    package init?(json: JSON) {
        guard let value = json.integer else { return nil }
        self = value
    }
    package static var form: String { "a whole number" }
    package static var schema: JSON { .object(["type": .string("integer")]) }
}

/// Encoded as a string, because JSON numbers would lose the last bits of large values.
extension UInt64: SettingValue {
    package var written: String { "\(self)" }
    package var json: JSON { .string(written) }
    package init?(json: JSON) {
        guard
            let value = json.string.flatMap(UInt64.init)
                ?? json.integer.flatMap(UInt64.init(exactly:))
        else { return nil }
        self = value
    }
    package static var form: String { "a whole number from 0 up, as a string where it is long" }
    package static var schema: JSON {
        .object([
            "oneOf": .array([
                .object(["type": .string("integer"), "minimum": .number(0)]),
                .object(["type": .string("string"), "pattern": .string("^[0-9]{1,20}$")]),
            ])
        ])
    }
}

extension Double: SettingValue {
    package var written: String { "\(self)" }
    package var json: JSON { .number(self) }
    package init?(json: JSON) {
        guard let value = json.number else { return nil }
        self = value
    }
    package static var form: String { "a number" }
    package static var schema: JSON { .object(["type": .string("number")]) }
}

extension Float: SettingValue {
    package var written: String { "\(self)" }
    package var json: JSON { .number(Double(self)) }
    package init?(json: JSON) {
        guard let value = json.number else { return nil }
        self = Float(value)
    }
    package static var form: String { "a number" }
    package static var schema: JSON { .object(["type": .string("number")]) }
}

extension Bool: SettingValue {
    package var written: String { "\(self)" }
    package var json: JSON { .bool(self) }
    package init?(json: JSON) {
        guard let value = json.bool else { return nil }
        self = value
    }
    package static var form: String { "true or false" }
    package static var schema: JSON { .object(["type": .string("boolean")]) }
    package func arguments(named name: String) -> [String] { self ? ["--\(name)"] : [] }
}

extension [Double]: SettingValue {
    /// Comma-separated; integers are written without a fraction.
    package var written: String { joined(by: ",") }

    func joined(by separator: String) -> String {
        map { $0 == $0.rounded() && abs($0) < 1e15 ? String(Int($0)) : String($0) }
            .joined(separator: separator)
    }

    package var json: JSON { .array(map(JSON.number)) }
    package init?(json: JSON) {
        guard let items = json.array else { return nil }
        let values = items.compactMap(\.number)
        guard values.count == items.count else { return nil }
        self = values
    }
    package static var form: String { "a list of numbers" }
    package static var schema: JSON {
        .object(["type": .string("array"), "items": Double.schema])
    }
}

extension SettingValue where Self: RawRepresentable & CaseIterable, RawValue == String {
    package var written: String { rawValue }
    package var json: JSON { .string(rawValue) }
    package init?(json: JSON) {
        guard let value = json.string.flatMap(Self.init(rawValue:)) else { return nil }
        self = value
    }
    package static var form: String {
        "one of " + allCases.map(\.rawValue).joined(separator: ", ")
    }
    package static var schema: JSON {
        .object(["type": .string("string"), "enum": .array(allCases.map(\.json))])
    }
}

extension SchedulerKind: SettingValue {}
extension TimestepSpacing: SettingValue {}
extension PromptSyntax: SettingValue {}
extension FinalSigma: SettingValue {}
extension LevelSpacing: SettingValue {}
extension RandomKind: SettingValue {}
extension WireFormat: SettingValue {}
extension GlobalPass: SettingValue {}
extension WindowWeight: SettingValue {}
extension Border: SettingValue {}
extension UpscaleMode: SettingValue {}
extension Method: SettingValue {}

/// Nil means that the model decides.
extension Optional: SettingValue where Wrapped: SettingValue {
    package var written: String { self?.written ?? "" }
    package var json: JSON { self?.json ?? .null }
    package init?(json: JSON) {
        if json == .null {
            self = .none
        } else if let value = Wrapped(json: json) {
            self = value
        } else {
            return nil
        }
    }
    package static var form: String { Wrapped.form }
    package static var schema: JSON { Wrapped.schema }
    package func arguments(named name: String) -> [String] { self?.arguments(named: name) ?? [] }
}

extension Extent: SettingValue {
    package var written: String { "\(width)x\(height)" }
    package var json: JSON { .string(written) }
    package init?(json: JSON) {
        guard let text = json.string, text.wholeMatch(of: /[0-9]+x[0-9]+/) != nil,
            let size = Extent(written: text)
        else { return nil }
        self = size
    }
    package static var form: String { "a size such as \"2048x1024\"" }
    package static var schema: JSON {
        .object(["type": .string("string"), "pattern": .string("^[0-9]+x[0-9]+$")])
    }

    /// Parses WIDTHxHEIGHT, also with the × that we print ourselves.
    package init?(written text: String) {
        let sides = text.lowercased().replacing("×", with: "x")
            .split(separator: "x", omittingEmptySubsequences: false)
            .map { Int($0.trimmingCharacters(in: .whitespaces)) }
        guard sides.count == 2, let width = sides[0], let height = sides[1], width > 0, height > 0
        else { return nil }
        self.init(height: height, width: width)
    }
}

extension WindowStride: SettingValue, CustomStringConvertible {
    package var written: String { description }

    /// As on the command line.
    package var description: String {
        switch self {
        case .every(let stride): "\(stride)"
        case .window: "window"
        }
    }

    package var json: JSON {
        switch self {
        case .every(let stride): stride.json
        case .window: .string(description)
        }
    }

    package init?(json: JSON) {
        if let stride = json.integer {
            self = .every(stride)
        } else if json.string == "window" {
            self = .window
        } else {
            return nil
        }
    }
    package static var form: String { "a whole number or \"window\"" }
    package static var schema: JSON {
        .object(["oneOf": .array([Int.schema, .object(["const": .string("window")])])])
    }
}

extension LadderChoice: SettingValue {
    package var written: String {
        switch self {
        case .everyScale: "every"
        case .cheapest: "auto"
        case .given(let ladder): ladder.scales.written
        }
    }

    package var json: JSON {
        switch self {
        case .everyScale, .cheapest: .string(written)
        case .given(let ladder): ladder.scales.json
        }
    }

    package init?(json: JSON) {
        if let scales = [Double](json: json), let ladder = try? Ladder(scales: scales) {
            self = .given(ladder)
        } else if let choice = [Self.everyScale, .cheapest].first(where: { $0.json == json }) {
            self = choice
        } else {
            return nil
        }
    }
    package static var form: String { "scales that rise from 1, such as [1, 2, 4], or \"auto\"" }
    package static var schema: JSON {
        .object([
            "oneOf": .array([
                [Double].schema,
                .object(["enum": .array([Self.everyScale.json, Self.cheapest.json])]),
            ])
        ])
    }
    package func arguments(named name: String) -> [String] {
        self == .everyScale ? [] : ["--\(name)=\(written)"]
    }
}
