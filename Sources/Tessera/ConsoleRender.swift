import Coordinator
import Engine
import Foundation
import Logging

extension RenderSession.Outputs {
    /// Prints what will happen to existing files.
    func announce(_ display: DisplayFlags) {
        if isNumbered {
            let free = NumberedNames(picture).first { access($0, F_OK) != 0 }
            if let free, free != picture {
                display.note("\(picture) exists: the picture will be \(free)")
            }
        }
        let replaced = (isNumbered ? [] : [picture]) + (dump.map { [$0] } ?? [])
        for path in replaced where path != PictureFormat.standardOutput && access(path, F_OK) == 0 {
            display.note("\(path) exists: it will be replaced when the picture is done")
        }
    }
}

/// Shows the reports of renders on standard error.
///
/// Called only from the render thread.
final class RenderConsole {
    private let isQuiet: Bool
    private let isSeries: Bool
    private var announce: () -> Void = {}
    private var display: ProgressDisplay?
    /// When reading of the picture was last reported: first after one second, then every five.
    private var lastReading = ContinuousClock.now - .seconds(4)
    /// Lines that are printed only once in a series.
    private var said: Set<String> = []
    /// The job of the picture that failed.
    private var job: String?

    /// - Parameters:
    ///   - isQuiet: whether only warnings and errors are shown
    ///   - isSeries: whether several pictures are rendered
    init(isQuiet: Bool, isSeries: Bool = false) {
        (self.isQuiet, self.isSeries) = (isQuiet, isSeries)
    }

    /// Starts the next picture.
    ///
    /// - Parameter announce: prints messages before workers are started
    func begin(announce: @escaping () -> Void) {
        self.announce = announce
        (display, job) = (nil, nil)
        lastReading = .now - .seconds(4)
    }

    func show(_ report: RenderReport) {
        switch report {
        case .notice(let line):
            if said.insert(line).inserted { StandardError.write(line) }
        case .reading(let path, let share):
            guard ContinuousClock.now - lastReading >= .seconds(5) else { return }
            lastReading = .now
            StandardError.write("reading \(path): \(Int(100 * share)) %")
        case .ready: announce()
        case .suggestion(let line):
            if said.insert(line).inserted { display?.note("suggested: \(line)") }
        case .begun(let plan, let prompts):
            display = ProgressDisplay(plan: plan, isQuiet: isQuiet)
            display?.note("prompt: \(prompts.summary)")
        case .saves(let path): display?.note("job " + ShellWords.join([Self.name(ofJob: path)]))
        case .progress(let event): display?.show(event)
        case .canBeResumed(let path):
            job = path
            if !isSeries { showHowToContinue(path) }
        case .nothingSaved:
            if !isSeries {
                StandardError.write(
                    "nothing was saved: to start over, run the same command again"
                )
            }
        }
    }

    /// The job of the picture that failed, and forgets it; nil if there is none.
    func takeJob() -> String? {
        defer { job = nil }
        return job
    }

    func showHowToContinue(_ path: String) {
        StandardError.write(
            "to continue: " + ShellWords.join(["tessera", "resume", Self.name(ofJob: path)])
        )
    }

    /// The job's name as `tessera resume` accepts it.
    private static func name(ofJob path: String) -> String {
        let folder = URL(fileURLWithPath: path)
        let isListed = folder.deletingLastPathComponent().path == JobFolder.defaultFolder
        return isListed ? folder.lastPathComponent : path
    }

    /// Prints what each worker did and how long the render took; in a series, only the latter.
    func show(_ outcome: RenderOutcome) {
        let (plan, tally) = (outcome.plan, outcome.tally)
        if !isSeries {
            if let views = outcome.coordinatorViews { display?.note("coordinator: \(views) views") }
            for worker in outcome.workers { display?.note(RenderResult.Worker(worker).line) }
            display?.note(
                "\(outcome.unetCalls) UNet calls, \(PlanTable.bytes(tally.viewBytes)) of latents and "
                    + "\(PlanTable.bytes(tally.decodeBytes)) of tiles moved"
                    + (plan.allEncodes.isEmpty
                        ? ""
                        : ", \(PlanTable.bytes(tally.encodeBytes)) to encode "
                            + (plan.encodes.isEmpty ? "enlarged pictures" : "the picture"))
            )
        }
        if let line = outcome.checks.line { display?.note(line) }
        if let summary = outcome.summary { display?.note(summary) }
        let seconds = PlanTable.duration(outcome.duration / .seconds(1))
        let name =
            outcome.picture == PictureFormat.standardOutput ? "standard output" : outcome.picture
        display?.note("\(name): \(plan.settings.size) in \(seconds)")
    }

    /// Removes the bar.
    func clear() { display?.clear() }
}
