import Engine
import Sampling

/// How far a running job is. Pure.
package struct JobProgress: Equatable, Sendable {
    /// What is being done.
    package enum Stage: String, CaseIterable, Sendable {
        /// Weights are checked, workers start, prompts are encoded.
        case preparing
        case denoising
        case encoding
        case enlarging
        case decoding
    }

    package private(set) var stage = Stage.preparing
    /// From 1; 0 before the first.
    package private(set) var phase = 0
    package private(set) var phases = 0
    /// Steps of the phase that have begun.
    package private(set) var step = 0
    package private(set) var steps = 0
    /// Views of all phases that are done, those before an interruption included.
    package private(set) var views = 0
    package private(set) var allViews = 0
    /// Tiles of the present pass over the picture.
    package private(set) var tiles = 0
    package private(set) var allTiles = 0
    /// Views that this process saw, and the seconds that they took.
    private var seen = 0
    private var since: Double?
    private var last: Double?

    package init() {}

    /// The render has been planned.
    package mutating func plan(_ plan: RenderPlan) {
        phases = plan.phases.count
        stepCounts = plan.phases.map(\.steps.count)
        allViews = plan.views
    }

    private var stepCounts: [Int] = []

    /// - Parameters:
    ///   - event: of the render
    ///   - now: in seconds since any instant
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

    /// Views per second; nil until some are done.
    package var rate: Double? {
        guard let since, let last, last > since, seen > 0 else { return nil }
        return Double(seen) / (last - since)
    }

    /// Seconds until the last view is done, without the decoding; nil until it is known.
    package var secondsLeft: Double? {
        rate.map { Double(max(0, allViews - views)) / $0 }
    }

    /// Share of the views that are done, 0…1.
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
