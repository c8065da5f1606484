import ArgumentParser
import Engine
import Sampling

/// The value of `--seed`.
struct Seed: ExpressibleByArgument, CustomStringConvertible {
    let value: UInt64
    /// Whether `-1` was given and the seed was drawn at random.
    let isChosen: Bool

    init(value: UInt64, isChosen: Bool = false) {
        (self.value, self.isChosen) = (value, isChosen)
    }

    init?(argument: String) {
        if argument == "-1" {
            // 32 bits, as in other programs: `-1` draws a random seed.
            self.init(value: .random(in: 0..<(1 << 32)), isChosen: true)
        } else if let value = UInt64(argument) {
            self.init(value: value)
        } else {
            return nil
        }
    }

    var description: String { "\(value)" }
    var defaultValueDescription: String { description }
}

/// Comma-separated numbers.
struct NumberList: ExpressibleByArgument, CustomStringConvertible {
    let values: [Double]

    init(_ values: [Double]) {
        self.values = values
    }

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        let values = parts.compactMap { Double($0) }
        guard values.count == parts.count else { return nil }
        self.values = values
    }

    var description: String { values.written }

    var defaultValueDescription: String { description }
}

/// The value of `--ladder`.
enum LadderArgument: ExpressibleByArgument {
    static var defaultCompletionKind: CompletionKind { .list(["auto", "1,2,4"]) }

    case auto
    case scales(NumberList)

    init?(argument: String) {
        if argument == "auto" {
            self = .auto
        } else if let list = NumberList(argument: argument) {
            self = .scales(list)
        } else {
            return nil
        }
    }

    /// - Throws: `InputError` unless the scales increase from 1
    func choice() throws(InputError) -> LadderChoice {
        switch self {
        case .auto: .cheapest
        case .scales(let list): .given(try Ladder(scales: list.values))
        }
    }
}

/// The value of `--device`.
package enum DeviceChoice: ExpressibleByArgument, CustomStringConvertible, Equatable {
    case all
    case named([DeviceName])

    package init?(argument: String) {
        guard argument != "all" else {
            self = .all
            return
        }
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        let devices = parts.compactMap { DeviceName(rawValue: String($0)) }
        guard devices.count == parts.count, Set(devices).count == devices.count else { return nil }
        self = .named(devices)
    }

    /// Example values, listed in help and error messages.
    package static let allValueStrings = ["cpu", "cuda:0", "cuda:0,cuda:1", "mps", "xpu:0", "all"]
    package static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }

    package var description: String {
        switch self {
        case .all: "all"
        case .named(let devices): devices.map(\.rawValue).joined(separator: ",")
        }
    }
}

extension WindowStride: ExpressibleByArgument {
    package static var defaultCompletionKind: CompletionKind { .list(["window"]) }

    package init?(argument: String) {
        if argument == "window" {
            self = .window
        } else if let stride = Int(argument) {
            self = .every(stride)
        } else {
            return nil
        }
    }
}

extension Extent: ExpressibleByArgument {
    package init?(argument: String) { self.init(written: argument) }
}

extension WindowWeight: ExpressibleByArgument {}
extension UpscaleMode: ExpressibleByArgument {}
extension Method: ExpressibleByArgument {}
extension WireFormat: ExpressibleByArgument {}
extension GlobalPass: ExpressibleByArgument {}
extension PictureFormat: ExpressibleByArgument {}
extension Border: ExpressibleByArgument {}
extension RandomKind: ExpressibleByArgument {}

extension SamplerName: ExpressibleByArgument {
    package init?(argument: String) { self.init(argument) }
    package static var allValueStrings: [String] { SchedulerKind.allCases.map(\.rawValue) }
    package static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
}
extension PredictionType: ExpressibleByArgument {}
extension BackendKind: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {}
extension TimestepSpacing: ExpressibleByArgument {}
extension FinalSigma: ExpressibleByArgument {}
extension LevelSpacing: ExpressibleByArgument {}
extension PromptSyntax: ExpressibleByArgument {}
