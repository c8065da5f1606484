import Coordinator
import Foundation
import Sampling

/// Progress on standard error: a bar on a terminal, plain lines otherwise; nothing with
/// --quiet.
///
/// Called only from the render thread.
final class ProgressDisplay {
    private let plan: RenderPlan
    private let isQuiet: Bool
    private let isTerminal = Terminal.current.redraws
    private let start = ContinuousClock.now
    private var phase = 0
    private var step = 0
    private var phaseStart = ContinuousClock.now
    private var stepViews = 0
    private var viewsInStep = 0
    private var viewsDone = 0
    /// Views done by an earlier process.
    private var viewsBefore = 0
    private var tiles = (done: 0, all: 0)
    /// Measuring passes over the tiles before they are decoded.
    private var passes = 0
    private var isMeasuring = false
    private var lastDrawn = ContinuousClock.now - .seconds(60)

    init(plan: RenderPlan, isQuiet: Bool) {
        self.plan = plan
        self.isQuiet = isQuiet
    }

    func show(_ event: RenderEvent) {
        switch event {
        case .resumed(let views):
            viewsBefore = views
            note("resuming after \(views) of \(plan.views) views")
        case .phase(let index, _):
            (phase, phaseStart) = (index, .now)
        case .step(let index, let views):
            (step, stepViews, viewsInStep) = (index, views, 0)
            draw(force: stepsDone == 0)
        case .view:
            viewsInStep += 1
            viewsDone += 1
            draw(force: false)
        case .finished(let index, _):
            let size = plan.pixels(ofPhase: index)
            note(
                "phase \(index + 1)/\(plan.phases.count): \(size) in \(seconds(since: phaseStart))"
            )
        case .encoding(let count):
            (tiles, passes, isMeasuring) = ((0, count), 0, false)
            note("encoding the picture, \(count == 1 ? "whole" : "\(count) tiles")")
        case .enlarging(let count):
            (tiles, passes, isMeasuring) = ((0, count), 0, false)
            note("enlarging, \(count == 1 ? "whole" : "\(count) tiles")")
        case .measuring(let count):
            if passes == 0 { note("measuring the picture for \(count) tiles") }
            passes += 1
            (tiles, isMeasuring) = ((0, count), true)
        case .decoding(let count):
            (tiles, passes, isMeasuring) = ((0, count), 0, false)
            note("decoding, \(count == 1 ? "whole" : "\(count) tiles")")
        case .tile:
            tiles.done += 1
            guard tiles.all > 1 else { return }
            let work = isMeasuring ? "measuring, pass \(passes):" : "decoding"
            draw(
                share: Double(tiles.done) / Double(tiles.all),
                ["\(work) \(tiles.done)/\(tiles.all) tiles"],
                force: false
            )
        }
    }

    /// Prints a separate line above the bar.
    func note(_ line: String) {
        if !isQuiet { StandardError.write(line) }
    }

    /// Removes the bar.
    func clear() { StandardError.progress("") }

    /// Of the current phase.
    private var stepsDone: Int { step - plan.phases[phase].steps.lowerBound }

    private func draw(force: Bool) {
        let share = Double(viewsBefore + viewsDone) / Double(max(1, plan.views))
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        let rate = Double(viewsDone) / max(elapsed, 1e-3)
        let left =
            viewsDone == 0
            ? "…"
            : PlanTable.duration(Double(plan.views - viewsBefore - viewsDone) / max(rate, 1e-9))
        draw(
            share: share,
            [
                "phase \(phase + 1)/\(plan.phases.count)",
                "step \(stepsDone + 1)/\(plan.phases[phase].steps.count)",
                "view \(viewsInStep)/\(stepViews)",
                String(format: "%.1f views/s", rate), "\(left) left",
            ],
            force: force
        )
    }

    /// At most ten updates a second on a terminal, one in five seconds elsewhere.
    ///
    /// - Parameters:
    ///   - share: fraction of the work that is done, 0…1
    ///   - parts: details; a narrow terminal shows the last one, then as many as fit
    ///   - force: whether to show it even if the last update is recent
    private func draw(share: Double, _ parts: [String], force: Bool) {
        let now = ContinuousClock.now
        guard !isQuiet,
            force || now - lastDrawn >= (isTerminal ? .milliseconds(100) : .seconds(5))
        else { return }
        lastDrawn = now
        if isTerminal {
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

    private func seconds(since instant: ContinuousClock.Instant) -> String {
        PlanTable.duration((ContinuousClock.now - instant) / .seconds(1))
    }
}
