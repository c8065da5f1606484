import Coordinator
import Engine
import Foundation
import Logging

/// A render from the command line: shows progress and prints the result.
struct ConsoleRender {
    let options: PictureOptions
    let outputs: RenderSession.Outputs
    let engine: EngineFlags
    let job: JobFlags
    let display: DisplayFlags
    let seed: Seed
    /// The subcommand, recorded for resuming.
    let command: String
    /// The job to resume.
    let resumed: Rendering.Resumed?

    /// Renders the picture and writes it; SIGINT and SIGTERM end it.
    ///
    /// - Parameter open: starts or awaits workers that have the model
    /// - Throws: whatever ends the render; the workers are stopped first
    func run(_ open: Rendering.Opening) throws {
        try checkStream()
        let rendering = Rendering(
            options: options,
            outputs: outputs,
            computation: engine.computation,
            saving: Saving(
                every: job.checkpointEvery,
                folder: job.jobDir,
                command: command,
                // A seed chosen at random is recorded.
                arguments: Invocation.flags + (seed.isChosen ? ["--seed=\(seed.value)"] : []),
                directory: FileManager.default.currentDirectoryPath
            ),
            resumed: resumed,
            logger: StandardErrorLog.logger
        )
        let control = RenderControl()
        Interrupts.handle(control.cancel)
        let console = RenderConsole(isQuiet: display.quiet, announce: announce)
        defer { console.clear() }
        let outcome = try rendering.run(on: open, control: control, observe: console.show)
        console.show(outcome)
        console.clear()
        do {
            if display.json {
                try StandardOutput.write(json: RenderResult(outcome))
            } else if !outputs.isStream {
                try StandardOutput.write(outcome.picture)
            }
        } catch let error as OutputError {
            throw OutputError(error.path, "\(error.reason); the picture is \(outcome.picture)")
        }
    }

    /// Rejects a picture on standard output where something else goes there, or a person reads it.
    ///
    /// - Throws: `InputError`
    private func checkStream() throws(InputError) {
        guard outputs.isStream else { return }
        let place = "--output -"
        guard !display.json else {
            throw InputError(
                place,
                "--json prints its line to standard output, too",
                fix: "Leave one of them out"
            )
        }
        guard isatty(STDOUT_FILENO) == 0 else {
            throw InputError(
                place,
                "standard output is a terminal",
                fix: "Redirect it to a file or a pipe"
            )
        }
    }

    /// Prints what the command line does not say: the seed, and what happens to existing files.
    private func announce() {
        if seed.isChosen { display.note("seed \(seed.value)") }
        if outputs.isNumbered {
            let free = NumberedNames(outputs.picture).first { access($0, F_OK) != 0 }
            if let free, free != outputs.picture {
                display.note("\(outputs.picture) exists: the picture will be \(free)")
            }
        }
        let replaced =
            (outputs.isNumbered ? [] : [outputs.picture]) + (outputs.dump.map { [$0] } ?? [])
        for path in replaced where path != PictureFormat.standardOutput && access(path, F_OK) == 0 {
            display.note("\(path) exists: it will be replaced when the picture is done")
        }
    }
}

/// Shows the reports of a render on standard error.
///
/// Called only from the render thread.
final class RenderConsole {
    private let isQuiet: Bool
    private let announce: () -> Void
    private var display: ProgressDisplay?
    /// When the progress of reading the picture was last shown: after one second, then every five.
    private var lastReading = ContinuousClock.now - .seconds(4)

    /// - Parameters:
    ///   - isQuiet: whether only warnings and errors are shown
    ///   - announce: prints messages before workers are started
    init(isQuiet: Bool, announce: @escaping () -> Void = {}) {
        (self.isQuiet, self.announce) = (isQuiet, announce)
    }

    func show(_ report: RenderReport) {
        switch report {
        case .notice(let line): StandardError.write(line)
        case .reading(let path, let share):
            guard ContinuousClock.now - lastReading >= .seconds(5) else { return }
            lastReading = .now
            StandardError.write("reading \(path): \(Int(100 * share)) %")
        case .ready: announce()
        case .suggestion(let line): display?.note("suggested: \(line)")
        case .begun(let plan, let prompts):
            display = ProgressDisplay(plan: plan, isQuiet: isQuiet)
            display?.note("prompt: \(prompts.summary)")
        case .saves(let path):
            let folder = URL(fileURLWithPath: path)
            let isListed = folder.deletingLastPathComponent().path == JobFolder.defaultFolder
            let name = isListed ? folder.lastPathComponent : path
            display?.note("job " + ShellWords.join([name]))
        case .progress(let event): display?.show(event)
        case .canBeResumed(let path):
            StandardError.write("to continue: " + ShellWords.join(["tessera", "resume", path]))
        }
    }

    /// Prints what each worker did, and how long the render took.
    func show(_ outcome: RenderOutcome) {
        let (plan, tally) = (outcome.plan, outcome.tally)
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
        if let summary = outcome.summary { display?.note(summary) }
        let seconds = PlanTable.duration(outcome.duration / .seconds(1))
        let name =
            outcome.picture == PictureFormat.standardOutput ? "standard output" : outcome.picture
        display?.note("\(name): \(plan.settings.size) in \(seconds)")
    }

    /// Removes the bar.
    func clear() { display?.clear() }
}
