import Foundation

/// The part of the training schedule that a run covers, and its number of steps.
struct ScheduleSpan: Equatable, Sendable {
    let steps: Int
    /// The share of the schedule, counted from the clean end, at which the run begins. Nil covers the whole schedule,
    /// laid out as the model's configuration says.
    var share: Double?
}

/// Timesteps of a run, from the first to the last, as each of Diffusers' schedulers lays them out.
enum Timesteps {
    /// The end of the schedule in equal parts, each ending where `trailing` would end it: a quarter of 1000 in one step
    /// is 249, in two 249 and 124. Nil for the whole schedule.
    static func ending(_ config: SchedulerConfig, _ span: ScheduleSpan) -> [Double]? {
        span.share.map { ending(config.trainTimesteps, share: $0, steps: span.steps) }
    }

    /// The same over the last `share` of `trainTimesteps` timesteps.
    static func ending(_ trainTimesteps: Int, share: Double, steps: Int) -> [Double] {
        let first = Double(trainTimesteps) * share
        return (0..<steps).map { i in
            let left = first * Double(steps - i) / Double(steps)
            return max(0, left.rounded(.toNearestOrEven) - 1)
        }
    }

    /// For DDIM, Euler and Euler ancestral; integers unless `fractional`.
    static func plain(
        _ config: SchedulerConfig,
        spacing: TimestepSpacing,
        steps: Int,
        fractional: Bool
    ) -> [Double] {
        let train = config.trainTimesteps
        switch spacing {
        case .linspace:
            return linspace(0, Double(train - 1), steps).reversed().map { t in
                fractional ? Double(Float(t)) : t.rounded(.toNearestOrEven)
            }
        case .leading:
            let ratio = train / steps
            return (0..<steps).reversed().map { Double($0 * ratio + config.stepsOffset) }
        case .trailing:
            return trailing(train, steps)
        }
    }

    /// For DDIM, DDPM and PNDM: integers within the training schedule.
    static func whole(_ config: SchedulerConfig, _ span: ScheduleSpan) -> [Double] {
        ending(config, span)
            ?? plain(
                config,
                spacing: config.spacing ?? .leading,
                steps: span.steps,
                fractional: false
            ).map { min($0, Double(config.trainTimesteps - 1)) }
    }

    /// The training timestep at which step `i` ends; nil for the clean latent.
    static func following(
        _ i: Int,
        of timesteps: [Double],
        _ config: SchedulerConfig,
        _ span: ScheduleSpan
    ) -> Int? {
        guard span.share == nil else {
            return i + 1 < timesteps.count ? Int(timesteps[i + 1]) : nil
        }
        let next = Int(timesteps[i]) - config.trainTimesteps / span.steps
        return next >= 0 ? next : nil
    }

    /// For DPM-Solver++, which plans one more interval.
    static func multistep(_ config: SchedulerConfig, spacing: TimestepSpacing, steps: Int)
        -> [Double]
    {
        let train = config.trainTimesteps
        switch spacing {
        case .linspace:
            return linspace(0, Double(train - 1), steps + 1).dropFirst().reversed().map {
                $0.rounded(.toNearestOrEven)
            }
        case .leading:
            let ratio = train / (steps + 1)
            return (1...steps).reversed().map { Double($0 * ratio + config.stepsOffset) }
        case .trailing:
            return trailing(train, steps)
        }
    }

    /// For LCM: some of the steps that the model was distilled on.
    static func distilled(_ config: SchedulerConfig, _ span: ScheduleSpan) -> [Double] {
        let (k, steps) = (config.trainTimesteps / config.originalSteps, span.steps)
        if let share = span.share {
            let first = Double(config.originalSteps) * share
            return (0..<steps).map { i in
                // Slightly below the product, so that 50 · 0.2 gives 10 steps and not 11.
                let left = first * Double(steps - i) / Double(steps) - 1e-9
                return max(1, left.rounded(.up)) * Double(k) - 1
            }
        }
        return (0..<steps).map { i in
            let skipped = Int(
                (Double(config.originalSteps) / Double(steps) * Double(i)).rounded(.down)
            )
            return Double((config.originalSteps - skipped) * k - 1)
        }
    }

    private static func trailing(_ train: Int, _ steps: Int) -> [Double] {
        let ratio = Double(train) / Double(steps)
        return (0..<steps).map {
            (Double(train) - Double($0) * ratio).rounded(.toNearestOrEven) - 1
        }
    }

    static func linspace(_ start: Double, _ end: Double, _ count: Int) -> [Double] {
        guard count > 1 else { return [start] }
        let step = (end - start) / Double(count - 1)
        return (0..<count).map { $0 == count - 1 ? end : Double($0) * step + start }
    }
}
