import ArgumentParser
import Coordinator
import Engine
import Foundation
import Protocol

/// Renders the pictures of a command one after the other on the same workers.
struct ConsoleSeries<Command: RenderCommand> {
    let list: PictureList<Command>
    /// Index of the picture to start with.
    var first = 0
    /// The job of that picture if it is resumed, and its command.
    var resumed: (job: Rendering.Resumed, command: Command)?
    /// The job that holds the remaining pictures of a series, if the picture before `first` was finished.
    var rest: JobFolder?

    /// Renders the pictures and writes them, until SIGINT or SIGTERM.
    ///
    /// - Throws: the error that ends a single picture; in a series, one that ends all of it, or `PicturesFailed` at its
    ///   end
    func run() throws {
        for index in first..<list.count { try checkStream(index) }
        for line in list.warnings where resumed == nil && rest == nil {
            StandardError.write("warning: \(line)")
        }
        let control = RenderControl()
        Interrupts.handle(mayHang: true, control.cancel)
        let workers = SharedWorkers()
        defer { workers.stop() }
        let console = RenderConsole(
            isQuiet: list.command(first).display.quiet,
            isSeries: list.isSeries
        )
        defer { console.clear() }
        if list.isSeries, resumed == nil, rest == nil {
            try list.check(control: control, observe: console.show)
        }
        var failures: [PicturesFailed.Picture] = []
        var rest = rest
        for index in first..<list.count {
            do {
                rest = try render(index, in: rest, workers, control, console)
            } catch let error where list.isSeries && !Self.endsAll(error) {
                console.clear()
                let title = list.title(index)
                StandardError.write("tessera: \(title): \(error)")
                failures.append((title, ExitStatus.status(of: error)))
                try report(error, index)
                try leaveSeries(console)
            } catch {
                if list.isSeries { advise(console, rest, remaining: list.count - index) }
                throw error
            }
        }
        rest?.remove()
        if !failures.isEmpty { throw PicturesFailed(failures, of: list.count - first) }
    }

    /// Renders one picture.
    ///
    /// - Parameters:
    ///   - index: index of the picture
    ///   - rest: the job that holds this picture and those after it until this one has its own job
    ///   - workers: the workers of the series
    ///   - control: cancels the render
    ///   - console: displays progress
    /// - Returns: the job that holds the pictures after this one
    /// - Throws: any error that ends the render
    private func render(
        _ index: Int,
        in rest: JobFolder?,
        _ workers: SharedWorkers,
        _ control: RenderControl,
        _ console: RenderConsole
    ) throws -> JobFolder? {
        let own = index == first ? resumed : nil
        let command = own?.command ?? list.command(index)
        var rendering = try list.rendering(index, command)
        rendering.saving = saving(index, command)
        rendering.resumed = own?.job
        rendering.predecessor = rest
        rendering.memory = list.isSeries ? workers.memory : nil
        if list.isSeries {
            command.display.note("\(list.title(index)): \(rendering.options.prompt)")
        }
        let outputs = rendering.outputs
        console.begin {
            if let seed = list.chosenSeed, index == first { command.display.note("seed \(seed)") }
            outputs.announce(command.display)
        }
        let open = try command.opening()
        let outcome = try rendering.run(
            on: list.isSeries ? workers.opening(open) : open,
            control: control,
            observe: console.show
        )
        console.show(outcome)
        console.clear()
        do {
            if command.display.json {
                var result = RenderResult(outcome)
                if list.isSeries {
                    (result.index, result.prompt) = (index + 1, rendering.options.prompt)
                }
                try StandardOutput.write(json: result)
            } else if !outputs.isStream {
                try StandardOutput.write(outcome.picture)
            }
        } catch let error as OutputError {
            throw ResultUnwritten(picture: outcome.picture, reason: error.reason)
        }
        return outcome.rest
    }

    /// Rejects a picture on standard output if something else is written there or it is a terminal.
    ///
    /// - Throws: `InputError`
    private func checkStream(_ index: Int) throws(InputError) {
        let own = index == first ? resumed?.command : nil
        let command = own ?? list.command(index)
        guard command.outputs.places.isStream else { return }
        let place = "--output -"
        guard !list.isSeries else {
            throw InputError(
                place,
                "standard output takes one picture",
                fix: "Render one at a time, or name files"
            )
        }
        guard !command.display.json else {
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

    private func saving(_ index: Int, _ command: Command) -> Saving {
        let folder = command.job.jobDir
        var saving = Saving(
            every: command.job.checkpointEvery,
            folder: list.isSeries ? folder.map { "\($0)/\(index + 1)" } : folder,
            command: Command.name,
            arguments: list.arguments(index),
            directory: FileManager.default.currentDirectoryPath
        )
        saving.isFollowed = index + 1 < list.count
        if list.isSeries {
            saving.series = JobFolder.SeriesPlace(
                arguments: list.words,
                index: index,
                started: list.start.timeIntervalSince1970
            )
        }
        return saving
    }

    /// Whether the error would also end the remaining pictures.
    private static func endsAll(_ error: any Error) -> Bool {
        switch error {
        case is RenderCancelled, is ClusterUnavailable, is EndpointTaken, is ResultUnwritten: true
        case let error as OutputError: error.path == "standard output"
        default: false
        }
    }

    /// Prints one line of JSON for a picture that failed.
    private func report(_ error: any Error, _ index: Int) throws {
        let command = list.command(index)
        guard command.display.json else { return }
        try StandardOutput.write(
            json: FailedResult(
                index: index + 1,
                seed: "\(list.seed(index))",
                prompt: command.picture.subject.prompt,
                error: "\(error)",
                status: ExitStatus.status(of: error)
            )
        )
    }

    /// Removes a failed picture from the series, which continues; that picture can be resumed on its own.
    private func leaveSeries(_ console: RenderConsole) throws {
        guard let path = console.takeJob() else { return }
        if try JobFolder.leaveSeries(path) { console.showHowToContinue(path) }
    }

    /// Prints how to continue a series that was ended.
    private func advise(_ console: RenderConsole, _ rest: JobFolder?, remaining: Int) {
        let waiting = rest.flatMap { try? JobFolder.find($0.path) }
        guard let path = console.takeJob() ?? waiting else { return }
        StandardError.write(
            remaining == 1 ? "1 picture remains" : "\(remaining) pictures remain"
        )
        console.showHowToContinue(path)
    }
}

/// A picture that failed, as JSON for scripts.
private struct FailedResult: Encodable {
    let index: Int
    let seed: String
    let prompt: String
    let error: String
    let status: Int32
}

/// The picture is complete, but its path could not be written to standard output.
struct ResultUnwritten: Error, CustomStringConvertible {
    let picture: String
    let reason: String

    var description: String {
        "\(OutputError("standard output", "\(reason); the picture is \(picture)"))"
    }
}

/// Pictures of a series that failed.
struct PicturesFailed: Error, CustomStringConvertible {
    typealias Picture = (title: String, status: Int32)

    private let pictures: [Picture]
    private let count: Int

    init(_ pictures: [Picture], of count: Int) {
        (self.pictures, self.count) = (pictures, count)
    }

    /// Exit status of the first picture that failed.
    var status: Int32 { pictures.first?.status ?? ExitStatus.fault }

    var description: String {
        let shown = pictures.prefix(20).map(\.title).joined(separator: ", ")
        let more = pictures.count > 20 ? " and \(pictures.count - 20) more" : ""
        return "\(pictures.count) of \(count) pictures failed: \(shown)\(more)."
    }
}
