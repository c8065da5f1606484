import Coordinator
import Foundation
import Sampling

/// Progress on standard error: a bar on a terminal, plain lines otherwise, nothing with --quiet.
///
/// Called only from the render thread.
final class ProgressDisplay {
    private let plan: RenderPlan
    private let isQuiet: Bool
    private let isTerminal = Terminal.current.redraws
    private let start = ContinuousClock.now
    private var meter: RenderMeter
    private var phaseStart = ContinuousClock.now
    private var lastDrawn = ContinuousClock.now - .seconds(60)

    init(plan: RenderPlan, isQuiet: Bool) {
        (self.plan, self.isQuiet) = (plan, isQuiet)
        meter = RenderMeter(plan)
    }

    func show(_ event: RenderEvent) {
        meter.take(event, at: seconds)
        switch event {
        case .resumed(let views): note("resuming after \(views) of \(plan.views) views")
        case .phase: phaseStart = .now
        case .step: draw(force: meter.isFirst)
        case .view, .measuring, .finalPass, .tile: draw(force: false)
        case .places, .predicted: break
        case .finished(let index, _):
            let size = plan.pixels(ofPhase: index)
            let time = PlanTable.duration((ContinuousClock.now - phaseStart) / .seconds(1))
            note("phase \(index + 1)/\(plan.phases.count): \(size) in \(time)")
        case .encoding(let count): begin("encoding the picture", count)
        case .enlarging(let count): begin("enlarging", count)
        case .decoding(let count): begin("decoding", count)
        }
    }

    /// Prints a line for a new stage and, on a terminal, redraws its progress at once: otherwise the last step's would
    /// be shown until a tile is done.
    private func begin(_ work: String, _ tiles: Int) {
        note("\(work), \(tiles == 1 ? "whole" : "\(tiles) tiles")")
        if isTerminal { draw(force: true) }
    }

    /// Prints a separate line above the bar.
    func note(_ line: String) {
        if !isQuiet { StandardError.write(line) }
    }

    /// Removes the bar.
    func clear() { StandardError.progress("") }

    /// Draws at most ten times a second on a terminal, every five seconds elsewhere.
    ///
    /// - Parameter force: draws even if the last update is recent
    private func draw(force: Bool) {
        let now = ContinuousClock.now
        guard !isQuiet,
            force || now - lastDrawn >= (isTerminal ? .milliseconds(100) : .seconds(5))
        else { return }
        lastDrawn = now
        let reading = meter.reading(at: seconds)
        let (share, parts) = (reading.share, reading.parts)
        if isTerminal {
            // A narrow terminal shows the time left first, then as many of the other details as fit.
            StandardError.progress(
                ProgressLine.fitted(
                    share: share,
                    parts.suffix(1) + parts.dropLast(),
                    columns: Terminal.columns
                )
            )
        } else {
            StandardError.write((["\(Int(share * 100)) %"] + parts).joined(separator: "  "))
        }
    }

    /// Seconds since this display was created.
    private var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }
}
