import Coordinator
import Foundation

/// Progress on standard error: a bar on a terminal, plain lines otherwise.
///
/// Called from the render thread alone.
final class ProgressDisplay {
    private let plan: RenderPlan
    private let isTerminal: Bool
    private let start = ContinuousClock.now
    private var phase = 0
    private var step = 0
    private var phaseStart = ContinuousClock.now
    private var stepViews = 0
    private var viewsInStep = 0
    private var viewsDone = 0
    /// Views that an earlier process did.
    private var viewsBefore = 0
    private var tiles = (done: 0, all: 0)
    /// Passes over the tiles before they are decoded.
    private var passes = 0
    private var isMeasuring = false
    private var lastDrawn = ContinuousClock.now - .seconds(60)
    private var barShown = false

    init(plan: RenderPlan, isTerminal: Bool) {
        self.plan = plan
        self.isTerminal = isTerminal
    }

    func show(_ event: RenderEvent) {
        switch event {
        case .resumed(let views):
            viewsBefore = views
            note("going on after \(views) of \(plan.views) views")
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
            let work = isMeasuring ? "measuring, pass \(passes):" : "decoding"
            if tiles.all > 1 { drawLine("\(work) \(tiles.done)/\(tiles.all) tiles", force: false) }
        }
    }

    /// Prints a line of its own, above the bar.
    func note(_ line: String) {
        clear()
        write(line + "\n")
    }

    /// Removes the bar.
    func clear() {
        guard barShown else { return }
        write("\r\u{1B}[K")
        barShown = false
    }

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
        let place =
            "phase \(phase + 1)/\(plan.phases.count)  step \(stepsDone + 1)/\(plan.phases[phase].steps.count)  "
            + "view \(viewsInStep)/\(stepViews)"
        let speed = String(format: "%.1f views/s", rate)
        if isTerminal {
            let cells = Int(share * 24)
            let bar =
                String(repeating: "█", count: cells) + String(repeating: "░", count: 24 - cells)
            drawLine("\(bar) \(Int(share * 100)) %  \(place)  \(speed)  \(left) left", force: force)
        } else {
            drawLine("\(Int(share * 100)) %  \(place)  \(speed)  \(left) left", force: force)
        }
    }

    /// At most ten lines a second on a terminal, one in five seconds elsewhere.
    private func drawLine(_ line: String, force: Bool) {
        let now = ContinuousClock.now
        guard force || now - lastDrawn >= (isTerminal ? .milliseconds(100) : .seconds(5)) else {
            return
        }
        lastDrawn = now
        if isTerminal {
            write("\r\(line)\u{1B}[K")
            barShown = true
        } else {
            write(line + "\n")
        }
    }

    private func seconds(since instant: ContinuousClock.Instant) -> String {
        PlanTable.duration((ContinuousClock.now - instant) / .seconds(1))
    }

    private func write(_ text: String) {
        FileHandle.standardError.write(Data(text.utf8))
    }
}
