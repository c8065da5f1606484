import Coordinator
import Engine
import Foundation
import Service

/// Follows a job of a service until it has ended, across restarts of the service.
final class RemoteWatch {
    private let client: ServiceClient
    private let name: JobName
    private let isQuiet: Bool
    private let isTerminal = Terminal.current.redraws
    private var lastDrawn = ContinuousClock.now - .seconds(60)
    private var lastState: JobState?

    /// Seconds during which to retry if the service does not answer: it may be restarting.
    private static let patience = 600.0

    init(_ client: ServiceClient, _ name: JobName, isQuiet: Bool) {
        (self.client, self.name, self.isQuiet) = (client, name, isQuiet)
    }

    /// Waits for the job to end.
    ///
    /// - Returns: the finished job
    /// - Throws: `RemoteJobEnded` if it ended without a picture, `ServiceClientError`
    func run() throws -> RemoteJob {
        defer { StandardError.progress("") }
        var job = try client.job("GET", name.path)
        handleInterrupts()
        var delay = RetryDelay()
        var since: ContinuousClock.Instant?
        while !job.state.isFinished {
            tell(job.state)
            do {
                // If streams end immediately, back off before reopening one.
                if try follow() {
                    delay = RetryDelay()
                } else {
                    Thread.sleep(forTimeInterval: delay.next())
                }
                job = try client.job("GET", name.path)
                since = nil
            } catch let error as ServiceClientError where error.isTemporary {
                if since == nil { note("warning: \(error). Trying again for ten minutes") }
                let start = since ?? .now
                since = start
                guard start.duration(to: .now) < .seconds(Self.patience) else { throw error }
                Thread.sleep(forTimeInterval: delay.next())
            }
        }
        tell(job.state)
        guard job.state == .done else { throw RemoteJobEnded(job: job) }
        return job
    }

    /// Shows the events of the job until the stream ends.
    ///
    /// - Returns: whether there were any events
    /// - Throws: `ServiceClientError`
    private func follow() throws -> Bool {
        let answer = try client.send("GET", "\(name.path)/events")
        try client.check(answer, answer.all())
        var reader = EventStreamReader()
        var hadEvents = false
        while let bytes = try answer.next() {
            guard let events = try? reader.take(bytes) else {
                throw ServiceClientError.foreign("\(client.address)")
            }
            for event in events {
                hadEvents = true
                switch event.kind {
                case "state":
                    let state = event.data.object?["state"]?.string
                    if let state = state.flatMap(JobState.init(rawValue:)) { tell(state) }
                case "progress": if let progress = RemoteProgress(event.data) { draw(progress) }
                default: break
                }
            }
        }
        return hadEvents
    }

    private func tell(_ state: JobState) {
        guard state != lastState else { return }
        lastState = state
        if state != .running { StandardError.progress("") }
        note("job \(name.id) is \(state.rawValue)")
    }

    private func note(_ line: String) {
        if !isQuiet || line.hasPrefix("warning") { StandardError.write(line) }
    }

    /// Updates the display at the same rate as a local render.
    private func draw(_ progress: RemoteProgress) {
        let now = ContinuousClock.now
        guard !isQuiet, now - lastDrawn >= (isTerminal ? .milliseconds(100) : .seconds(5)) else {
            return
        }
        lastDrawn = now
        guard isTerminal else {
            let words = ["\(Int(progress.share * 100)) %"] + progress.parts
            StandardError.write(words.joined(separator: "  "))
            return
        }
        StandardError.progress(
            ProgressLine.fitted(
                share: progress.share,
                progress.parts.suffix(1) + progress.parts.dropLast(),
                columns: Terminal.columns
            )
        )
    }

    /// Interrupting this command does not cancel the job.
    private func handleInterrupts() {
        let (id, isQuiet) = (name.id, isQuiet)
        Interrupts.handle {
            StandardError.progress("")
            if !isQuiet {
                StandardError.write(
                    "the job goes on: tessera watch \(id), tessera cancel \(id)",
                    isLast: true
                )
            }
            _exit(ExitStatus.interrupted)
        }
    }
}
