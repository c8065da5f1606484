import Coordinator
import Engine
import Foundation
import Sampling

/// Progress and remaining time of a render, computed from its events. Pure.
///
/// The speeds of views and of autoencoding (encoding, enlarging, decoding) are measured separately, each once some of
/// that work has been done: refinement decodes the picture after every phase, DemoFusion only at the end.
package struct RenderMeter {
    /// What a progress line shows.
    package struct Reading: Equatable, Sendable {
        /// Fraction of the current stage that is done, 0…1.
        package let share: Double
        /// Details for the progress line, with the time left last if it is known.
        package let parts: [String]
    }

    private let plan: RenderPlan
    private(set) var phase = 0
    private var step = 0
    private var stepViews = 0
    private var viewsInStep = 0
    private var viewsDone = 0
    /// Views done by an earlier process, less those of this one that have to be done again.
    private var viewsBefore = 0
    /// Seconds spent on views.
    private var viewSeconds = 0.0
    /// When the current run of views began; nil while a picture is being encoded or decoded.
    private var viewsSince: Double?
    private var stage: AutoencoderStage?
    /// Seconds per latent pixel.
    private var paces: [AutoencoderHalf: Double] = [:]
    private var hasStarted = false

    /// - Parameter plan: the plan of the render
    package init(_ plan: RenderPlan) { self.plan = plan }

    /// Whether this process is still in its first step.
    package var isFirst: Bool { viewsDone == 0 && stage == nil }

    /// - Parameters:
    ///   - event: the event
    ///   - now: seconds since any fixed time
    package mutating func take(_ event: RenderEvent, at now: Double) {
        switch event {
        // Also sent when wrong answers were found and some of the work is done again.
        case .resumed(let views): viewsBefore = views - viewsDone
        case .phase(let index, _):
            endStage(at: now)
            (phase, hasStarted) = (index, true)
        case .step(let index, let views):
            endStage(at: now)
            (step, stepViews, viewsInStep) = (index, views, 0)
            viewsSince = viewsSince ?? now
        case .view:
            viewsInStep += 1
            viewsDone += 1
        case .places, .predicted: break
        case .finished: endStage(at: now)
        case .encoding(let tiles): begin("encoding", encodePlan, tiles, at: now)
        case .enlarging(let tiles):
            begin("enlarging", plan.enlargements[phase]?.decode, tiles, at: now)
        case .decoding(let tiles): begin("decoding", decodePlan, tiles, at: now)
        case .measuring, .finalPass: stage?.beginPass(at: now)
        case .tile: stage?.takeTile()
        }
    }

    /// The current progress.
    ///
    /// - Parameter now: seconds, on the clock used for `take`
    /// - Returns: what the progress line shows
    package func reading(at now: Double) -> Reading {
        if let stage { return reading(of: stage, at: now) }
        let seconds = viewSeconds + (viewsSince.map { now - $0 } ?? 0)
        var parts = [
            "phase \(phase + 1)/\(plan.phases.count)",
            "step \(step - plan.phases[phase].steps.lowerBound + 1)/\(plan.phases[phase].steps.count)",
            "view \(viewsInStep)/\(stepViews)",
        ]
        // Nothing to extrapolate from before the first view.
        if viewsDone > 0, seconds > 0 {
            let rate = Double(viewsDone) / seconds
            parts.append(String(format: "%.1f views/s", rate))
            parts.append(timeLeft(Double(viewsLeft) / rate, paces))
        }
        let done = Double(viewsBefore + viewsDone) / Double(max(1, plan.views))
        return Reading(share: done, parts: parts)
    }

    private func reading(of stage: AutoencoderStage, at now: Double) -> Reading {
        var parts = [stage.isWhole ? "\(stage.name) in one piece" : stage.name]
        if !stage.isWhole {
            parts.append("pass \(max(1, stage.pass)) of \(stage.passShares.count)")
            parts.append("\(stage.doneInPass)/\(stage.tiles) tiles")
        }
        if let pace = pace(of: stage, at: now) {
            let views = viewSeconds > 0 ? viewSeconds / Double(max(1, viewsDone)) : nil
            if viewsLeft == 0 || views != nil {
                let own = pace * stage.pixelsLeft + Double(viewsLeft) * (views ?? 0)
                parts.append(timeLeft(own, paces.merging([stage.half: pace]) { $1 }))
            }
        }
        return Reading(share: stage.share, parts: parts)
    }

    /// Seconds per latent pixel in a stage. The first passes say little, because they are small and workers load the
    /// network during them. Until half of the work is done, the pace of the previous such stage is blended in; without
    /// one, there is no estimate for the first tenth.
    private func pace(of stage: AutoencoderStage, at now: Double) -> Double? {
        let own = stage.share > 0 ? (now - stage.start) / stage.pixelsDone : nil
        guard let last = paces[stage.half] else { return stage.share < 0.1 ? nil : own }
        guard let own, own > 0 else { return last }
        let weight = min(1, 2 * stage.share)
        return pow(last, 1 - weight) * pow(own, weight)
    }

    private var viewsLeft: Int { max(0, plan.views - viewsBefore - viewsDone) }

    /// What is still to be decoded or encoded after the current stage.
    private var later: [TilePlan] {
        let isLast = stage?.name == "decoding" && viewsLeft == 0
        let isEnlarging = stage?.name == "enlarging"
        return plan.enlargements.filter { $0.key > phase }.flatMap {
            [$0.value.decode, $0.value.encode]
        } + (isEnlarging ? plan.enlargements[phase].map { [$0.encode] } ?? [] : [])
            + plan.encodes.filter { $0.key > phase }.map(\.value) + (isLast ? [] : [plan.decode])
    }

    /// The time left as text: it includes later stages whose pace is known and names the others.
    private func timeLeft(_ seconds: Double, _ paces: [AutoencoderHalf: Double]) -> String {
        let all = later.reduce(seconds) { $0 + (paces[$1.network.half] ?? 0) * $1.pixels }
        let unknown = Set(later.map(\.network.half)).filter { paces[$0] == nil }
            .map { $0 == .encoder ? "encoding" : "decoding" }.sorted().reversed()
        return PlanTable.duration(all) + " left"
            + (unknown.isEmpty ? "" : ", then " + unknown.joined(separator: " and "))
    }

    private var encodePlan: TilePlan? {
        plan.enlargements[phase]?.encode ?? plan.encodes[hasStarted ? phase + 1 : 0]
    }

    /// Pictures of earlier phases are also decoded if they are saved.
    private var decodePlan: TilePlan? {
        viewsLeft == 0 ? plan.decode : plan.enlargements[phase + 1]?.decode
    }

    private mutating func begin(_ name: String, _ tilePlan: TilePlan?, _ tiles: Int, at now: Double)
    {
        endStage(at: now)
        if let viewsSince { viewSeconds += now - viewsSince }
        viewsSince = nil
        let area = Double((tilePlan?.latent ?? plan.phases[phase].phase.latent).area)
        stage = AutoencoderStage(
            name: name,
            half: name == "encoding" ? .encoder : .decoder,
            pixels: tilePlan?.pixels ?? area,
            tiles: tiles,
            passShares: tiles == 1 ? [1] : tilePlan?.passShares ?? [1],
            start: now
        )
    }

    private mutating func endStage(at now: Double) {
        if let stage, stage.share > 0 {
            paces[stage.half] = (now - stage.start) / stage.pixelsDone
        }
        stage = nil
    }
}

/// A picture that is being encoded, enlarged or decoded.
private struct AutoencoderStage {
    let name: String
    let half: AutoencoderHalf
    /// Latent pixels of the picture, including the margins of its tiles.
    let pixels: Double
    let tiles: Int
    /// The share of the work in each pass over all tiles; sums to 1.
    let passShares: [Double]
    private(set) var start: Double
    private(set) var doneInPass = 0
    /// The current pass, from 1; 0 before the first.
    private(set) var pass = 0

    init(
        name: String,
        half: AutoencoderHalf,
        pixels: Double,
        tiles: Int,
        passShares: [Double],
        start: Double
    ) {
        (self.name, self.half, self.pixels) = (name, half, pixels)
        (self.tiles, self.passShares, self.start) = (max(1, tiles), passShares, start)
        if tiles == 1 { pass = 1 }
    }

    mutating func beginPass(at now: Double) {
        if pass == 0 { start = now }
        (pass, doneInPass) = (pass + 1, 0)
    }

    mutating func takeTile() { doneInPass += 1 }

    var isWhole: Bool { tiles == 1 }

    /// Fraction of the work that is done.
    var share: Double {
        guard pass > 0 else { return 0 }
        let own = pass <= passShares.count ? passShares[pass - 1] : 0
        let before = passShares.prefix(pass - 1).reduce(0, +)
        return min(1, before + own * Double(doneInPass) / Double(tiles))
    }

    var pixelsDone: Double { pixels * share }
    var pixelsLeft: Double { pixels * (1 - share) }
}

extension TilePlan {
    /// Latent pixels, including the margins of tiles.
    fileprivate var pixels: Double { Double(latent.area) * evaluations }
}
