import Engine
import Sampling

/// What a picture costs with one preset.
package struct PresetPrice: Encodable, Sendable {
    let preset: String
    let method: String
    let phases: Int
    let views: Int
    let unetCalls: Int
    /// Time in seconds at the workers' measured speeds.
    let seconds: Double?

    /// The prices of all presets that a picture's flags allow, in the order of the presets.
    ///
    /// - Parameters:
    ///   - options: the picture's options
    ///   - speeds: the workers' speeds, if they were measured
    /// - Returns: the prices, without presets that contradict a flag or whose picture cannot be rendered
    package static func all(_ options: PictureOptions, speeds: MeasuredSpeeds?) -> [Self] {
        Preset.allCases.compactMap { preset in
            var options = options
            options.preset = preset
            guard let plan = try? RenderSession(options).plan else { return nil }
            return Self(
                preset: preset.rawValue,
                method: plan.settings.method.rawValue,
                phases: plan.phases.count,
                views: plan.views,
                unetCalls: plan.evaluations,
                seconds: speeds.map { plan.times(at: $0).total }
            )
        }
    }

    /// The prices as lines of a plan.
    ///
    /// - Parameter prices: prices of one picture
    /// - Returns: a header, and one line for each price; nothing without prices
    package static func lines(_ prices: [Self]) -> [String] {
        guard !prices.isEmpty else { return [] }
        let header = ["PRESET", "METHOD", "PHASES", "VIEWS", "UNET CALLS"]
        let isTimed = prices.contains { $0.seconds != nil }
        let rows = prices.map { price in
            [price.preset, price.method, "\(price.phases)", "\(price.views)", "\(price.unetCalls)"]
                + (price.seconds.map { [PlanTable.duration($0)] } ?? [])
        }
        return [""]
            + TextTable.lines(
                [header + (isTimed ? ["TIME"] : [])] + rows,
                rightAligned: [2, 3, 4, 5]
            )
    }
}
