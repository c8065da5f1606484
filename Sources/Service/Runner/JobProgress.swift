import Engine
import Sampling

/// Progress of a running job. Pure.
package struct JobProgress: Equatable, Sendable {
    /// What is being done at the moment.
    package enum Stage: String, CaseIterable, Sendable {
        /// Weights are checked, workers started and prompts encoded.
        case preparing
        case denoising
        case encoding
        case enlarging
        case decoding
    }

    package private(set) var stage = Stage.preparing
    /// Current phase, from 1; 0 before the first.
    package private(set) var phase = 0
    package private(set) var phases = 0
    /// Number of steps of the phase that have begun.
    package private(set) var step = 0
    package private(set) var steps = 0
    /// Finished views of all phases, including those before an interruption.
    package private(set) var views = 0
    package private(set) var allViews = 0
    /// Finished tiles of the current pass over the picture.
    package private(set) var tiles = 0
    package private(set) var allTiles = 0
    /// Views finished in this process, and the times of its first step and last view.
    private var seen = 0
    private var since: Double?
    private var last: Double?

    package init() {}

    /// Called when the render has been planned.
    package mutating func plan(_ plan: RenderPlan) {
        phases = plan.phases.count
        stepCounts = plan.phases.map(\.steps.count)
        allViews = plan.views
    }

    private var stepCounts: [Int] = []

    /// - Parameters:
    ///   - event: the event
    ///   - now: seconds since any fixed time
    package mutating func take(_ event: RenderEvent, at now: Double) {
        switch event {
        case .resumed(let done): views = done
        case .phase(let index, _):
            (stage, phase, step) = (.denoising, index + 1, 0)
            steps = index < stepCounts.count ? stepCounts[index] : 0
        case .step(let index, _):
            (stage, step) = (.denoising, index + 1)
            since = since ?? now
        case .view:
            views += 1
            seen += 1
            last = now
        case .finished, .places, .predicted: break
        case .encoding(let count): begin(.encoding, count)
        case .enlarging(let count): begin(.enlarging, count)
        case .decoding(let count): begin(.decoding, count)
        case .measuring(let count), .finalPass(let count): (tiles, allTiles) = (0, count)
        case .tile: tiles += 1
        }
    }

    private mutating func begin(_ stage: Stage, _ count: Int) {
        (self.stage, tiles, allTiles) = (stage, 0, count)
    }

    /// Views per second; nil until it is known.
    package var rate: Double? {
        guard let since, let last, last > since, seen > 0 else { return nil }
        return Double(seen) / (last - since)
    }

    /// Estimated seconds until the last view is done, excluding decoding; nil until it is known.
    package var secondsLeft: Double? {
        rate.map { Double(max(0, allViews - views)) / $0 }
    }

    /// Fraction of the views that is done, 0…1.
    package var share: Double {
        allViews > 0 ? min(1, Double(views) / Double(allViews)) : 0
    }

    package var json: JSON {
        func number(_ value: Int) -> JSON { .number(Double(value)) }
        return .object([
            "stage": .string(stage.rawValue),
            "phase": number(phase), "phases": number(phases),
            "step": number(step), "steps": number(steps),
            "views": number(views), "allViews": number(allViews),
            "tiles": number(tiles), "allTiles": number(allTiles),
            "share": .number(share),
            "viewsPerSecond": rate.map(JSON.number) ?? .null,
            "secondsLeft": secondsLeft.map(JSON.number) ?? .null,
        ])
    }
}
