import Coordinator
import Engine
import Foundation
import Sampling

/// How far a render is and how long the rest takes, from its events. Pure.
///
/// Views and autoencoding (encoding, enlarging, decoding) have paces of their own. A pace is known once something of
/// the kind has been done: in refinement the picture is decoded after every phase, in DemoFusion only at the end.
package struct RenderMeter {
    /// What a progress line shows.
    package struct Reading: Equatable, Sendable {
        /// Of the present stage, 0…1.
        package let share: Double
        /// Details, the time left last if it is known.
        package let parts: [String]
    }

    private let plan: RenderPlan
    private(set) var phase = 0
    private var step = 0
    private var stepViews = 0
    private var viewsInStep = 0
    private var viewsDone = 0
    /// Views done by an earlier process.
    private var viewsBefore = 0
    /// Seconds spent on views.
    private var viewSeconds = 0.0
    /// When the present stretch of views began; nil while a picture is autoencoded.
    private var viewsSince: Double?
    private var stage: AutoencoderStage?
    /// Seconds for a latent pixel of one pass over all tiles.
    private var paces: [AutoencoderHalf: Double] = [:]
    private var hasStarted = false

    /// - Parameter plan: of the render
    package init(_ plan: RenderPlan) { self.plan = plan }

    /// Whether the present step is the first one that this process takes.
    package var isFirst: Bool { viewsDone == 0 && stage == nil }

    /// - Parameters:
    ///   - event: of the render
    ///   - now: in seconds since any instant
    package mutating func take(_ event: RenderEvent, at now: Double) {
        switch event {
        case .resumed(let views): viewsBefore = views
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
        case .finished: endStage(at: now)
        case .encoding(let tiles): begin("encoding", encodePlan, tiles, at: now)
        case .enlarging(let tiles):
            begin("enlarging", plan.enlargements[phase]?.decode, tiles, at: now)
        case .decoding(let tiles): begin("decoding", decodePlan, tiles, at: now)
        case .measuring: stage?.beginPass(isFinal: false, at: now)
        case .finalPass: stage?.beginPass(isFinal: true, at: now)
        case .tile: stage?.takeTile()
        }
    }

    /// What to show now.
    ///
    /// - Parameter now: as in `take`
    /// - Returns: the reading
    package func reading(at now: Double) -> Reading {
        if let stage { return reading(of: stage, at: now) }
        let seconds = viewSeconds + (viewsSince.map { now - $0 } ?? 0)
        var parts = [
            "phase \(phase + 1)/\(plan.phases.count)",
            "step \(step - plan.phases[phase].steps.lowerBound + 1)/\(plan.phases[phase].steps.count)",
            "view \(viewsInStep)/\(stepViews)",
        ]
        // Before the first view there is nothing to estimate from.
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
            parts.append(stage.isFinal ? "last pass" : "measuring, pass \(max(1, stage.pass))")
            parts.append("\(stage.doneInPass)/\(stage.tiles) tiles")
        }
        let pace = stage.done > 0 ? (now - stage.start) / stage.pixelsDone : paces[stage.half]
        if let pace {
            let rest = stage.isWhole ? stage.area : stage.pixelsLeft
            let views = viewSeconds > 0 ? viewSeconds / Double(max(1, viewsDone)) : nil
            if viewsLeft == 0 || views != nil {
                let own = pace * rest + Double(viewsLeft) * (views ?? 0)
                parts.append(timeLeft(own, paces.merging([stage.half: pace]) { $1 }))
            }
        }
        return Reading(share: stage.share, parts: parts)
    }

    private var viewsLeft: Int { max(0, plan.views - viewsBefore - viewsDone) }

    /// What is decoded or encoded after the present stage.
    private var later: [TilePlan] {
        let isLast = stage?.name == "decoding" && viewsLeft == 0
        let isEnlarging = stage?.name == "enlarging"
        return plan.enlargements.filter { $0.key > phase }.flatMap {
            [$0.value.decode, $0.value.encode]
        } + (isEnlarging ? plan.enlargements[phase].map { [$0.encode] } ?? [] : [])
            + plan.encodes.filter { $0.key > phase }.map(\.value) + (isLast ? [] : [plan.decode])
    }

    /// The time left, with later stages where their paces are known, and named where they are not.
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

    /// Pictures of earlier phases are decoded too if they are saved.
    private var decodePlan: TilePlan? {
        viewsLeft == 0 ? plan.decode : plan.enlargements[phase + 1]?.decode
    }

    private mutating func begin(_ name: String, _ tilePlan: TilePlan?, _ tiles: Int, at now: Double)
    {
        endStage(at: now)
        if let viewsSince { viewSeconds += now - viewsSince }
        viewsSince = nil
        stage = AutoencoderStage(
            name: name,
            half: name == "encoding" ? .encoder : .decoder,
            area: Double((tilePlan?.latent ?? plan.phases[phase].phase.latent).area),
            tiles: tiles,
            passes: tilePlan?.passes ?? 1,
            cheapPasses: tilePlan?.cheapPasses ?? 0,
            start: now
        )
    }

    private mutating func endStage(at now: Double) {
        if let stage, stage.done > 0 {
            paces[stage.half] = (now - stage.start) / stage.pixelsDone
        }
        stage = nil
    }
}

/// A picture that is encoded, enlarged or decoded.
private struct AutoencoderStage {
    let name: String
    let half: AutoencoderHalf
    /// Latent pixels of the picture.
    let area: Double
    let tiles: Int
    /// Expected passes over all tiles; the actual number depends on the picture.
    let passes: Int
    /// Passes before those, which cost next to nothing.
    private let cheapPasses: Int
    private(set) var start: Double
    /// Tiles done, without those of cheap passes.
    private(set) var done = 0
    private(set) var doneInPass = 0
    /// Counted from 1; 0 before the first.
    private(set) var pass = 0
    private(set) var isFinal = false

    init(
        name: String,
        half: AutoencoderHalf,
        area: Double,
        tiles: Int,
        passes: Int,
        cheapPasses: Int,
        start: Double
    ) {
        (self.name, self.half, self.area) = (name, half, area)
        (self.tiles, self.passes, self.start) = (max(1, tiles), passes, start)
        self.cheapPasses = cheapPasses
    }

    mutating func beginPass(isFinal: Bool, at now: Double) {
        (pass, doneInPass) = (pass + 1, 0)
        self.isFinal = isFinal
        if done == 0 { start = now }
    }

    mutating func takeTile() {
        doneInPass += 1
        if isWhole || isFinal || pass > cheapPasses { done += 1 }
    }

    var isWhole: Bool { tiles == 1 }
    var pixelsDone: Double { area * Double(done) / Double(tiles) }

    /// Tiles that remain in this pass and those expected after it.
    private var tilesLeft: Int {
        if isWhole || isFinal { return max(0, tiles - doneInPass) }
        guard pass > cheapPasses else { return passes * tiles }
        return max(0, tiles - doneInPass) + max(1, passes - (pass - cheapPasses)) * tiles
    }

    var pixelsLeft: Double { area * Double(tilesLeft) / Double(tiles) }
    var share: Double { Double(done) / Double(max(1, done + tilesLeft)) }
}

extension TilePlan {
    /// Latent pixels of all expected passes.
    fileprivate var pixels: Double { Double(latent.area * passes) }
}
