import Sampling

/// Which views of a phase can be computed when a step may begin before the one before it has ended. Finished views go
/// in, and views that can be computed come out; there is no clock.
///
/// A window needs the fused latent of the previous step in its area: all windows that overlap it there, and all
/// lattices, since every window has pixels from each of them. A lattice needs the mean and deviation of the whole
/// latent, and so all views.
package struct StepFlow: Sendable {
    /// The views of one step.
    package struct Step: Sendable {
        package var windows: [Window]
        /// Numbered before the windows, so that what all of the next step waits for is computed first.
        package var lattices: Int
        /// Whether the next step needs the whole latent, like the inversion of a refinement stage.
        package var isBarrier: Bool

        package init(windows: [Window], lattices: Int = 0, isBarrier: Bool = false) {
            (self.windows, self.lattices, self.isBarrier) = (windows, lattices, isBarrier)
        }

        package var count: Int { lattices + windows.count }
    }

    /// A view, by its step and its index in the step.
    package struct View: Hashable, Comparable, Sendable {
        package let step: Int
        package let index: Int

        package init(step: Int, index: Int) { (self.step, self.index) = (step, index) }

        package static func < (a: View, b: View) -> Bool {
            (a.step, a.index) < (b.step, b.index)
        }
    }

    /// What a step still waits for, and which of its views have been given out.
    private struct Progress: Sendable {
        var latticesLeft: Int
        var left: Int
        var isGiven: [Bool]
        /// For each window, how many windows of the previous step overlap it and are not done.
        var needed: [Int]
    }

    package let steps: [Step]
    private var progress: [Progress]
    /// For each window of a step, the windows of the next step that overlap it.
    private let successors: [[[Int]]]
    private let overlaps: Bool

    /// - Parameters:
    ///   - steps: steps of one phase
    ///   - overlaps: whether a step may begin before the one before it has ended
    package init(_ steps: [Step], overlaps: Bool = true) {
        (self.steps, self.overlaps) = (steps, overlaps)
        successors = zip(steps, steps.dropFirst()).map { step, next in
            step.windows.map { window in
                next.windows.indices.filter { window.touches(next.windows[$0]) }
            }
        }
        progress = steps.map {
            Progress(
                latticesLeft: $0.lattices,
                left: $0.count,
                isGiven: Array(repeating: false, count: $0.count),
                needed: Array(repeating: 0, count: $0.windows.count)
            )
        }
        for (step, each) in successors.enumerated() {
            for windows in each { for window in windows { progress[step + 1].needed[window] += 1 } }
        }
    }

    /// The views of the first step.
    package mutating func begin() -> [View] { giveRest(of: 0) }

    /// Records that a view is done.
    ///
    /// - Returns: views that can be computed now, in order
    package mutating func done(_ view: View) -> [View] {
        let lattices = steps[view.step].lattices
        let wasLattice = view.index < lattices
        progress[view.step].left -= 1
        if wasLattice { progress[view.step].latticesLeft -= 1 }
        let next = view.step + 1
        guard next < steps.count else { return [] }
        if !wasLattice {
            for window in successors[view.step][view.index - lattices] {
                progress[next].needed[window] -= 1
            }
        }
        if progress[view.step].left == 0 { return giveRest(of: next) }
        guard overlaps, !steps[view.step].isBarrier, progress[view.step].latticesLeft == 0 else {
            return []
        }
        let candidates =
            wasLattice
            ? Array(steps[next].windows.indices) : successors[view.step][view.index - lattices]
        let first = steps[next].lattices
        return candidates.filter {
            progress[next].needed[$0] == 0 && !progress[next].isGiven[first + $0]
        }.map { window in
            progress[next].isGiven[first + window] = true
            return View(step: next, index: first + window)
        }
    }

    private mutating func giveRest(of step: Int) -> [View] {
        let rest = progress[step].isGiven.indices.filter { !progress[step].isGiven[$0] }
        for index in rest { progress[step].isGiven[index] = true }
        return rest.map { View(step: step, index: $0) }
    }
}

extension Window {
    fileprivate func touches(_ other: Window) -> Bool {
        top < other.top + other.height && other.top < top + height
            && left < other.left + other.width && other.left < left + width
    }
}
