import Engine
import Foundation
import Protocol

/// A render that can be resumed, as a list entry.
package struct SavedJob: Encodable, Equatable, Sendable {
    /// The name that `tessera resume` takes.
    package let name: String
    package let path: String
    /// When it was saved, in seconds since 1970.
    package let saved: Double
    /// Whether a process is rendering it now.
    package let isRunning: Bool
    /// The current phase, counted from 1.
    package let phase: Int
    package let phases: Int?
    /// Whether all phases are done and only decoding remains.
    package let isDecoding: Bool
    /// Steps of the phase that are done.
    package let step: Int
    package let steps: Int?
    package let size: String?
    package let prompt: String?
    /// Number of its picture in the series, counted from 1; nil for a single picture.
    package let picture: Int?

    /// Jobs that can be resumed, newest first. Unreadable ones are skipped.
    ///
    /// - Parameter folder: folder of the jobs
    /// - Returns: the jobs; none if the folder does not exist
    package static func all(in folder: String? = JobFolder.defaultFolder) -> [SavedJob] {
        guard let folder,
            let names = try? FileManager.default.contentsOfDirectory(atPath: folder)
        else { return [] }
        return names.compactMap { SavedJob(name: $0, path: "\(folder)/\($0)") }
            .sorted { ($0.saved, $0.name) > ($1.saved, $1.name) }
    }

    private init?(name: String, path: String) {
        func date(_ name: String) -> Date? {
            let attributes = try? FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")
            return attributes?[.modificationDate] as? Date
        }
        let (stateName, recordName) = ("state.safetensors", "job.json")
        guard let record = try? JobFolder.Record(file: "\(path)/\(recordName)"),
            let settings = try? JSON(record.settings.utf8, place: path).object
        else { return nil }
        // The next picture of a series may have no state yet.
        let stateDate = date(stateName)
        let state =
            stateDate == nil && record.series != nil
            ? [:] : try? SafeTensors(file: "\(path)/\(stateName)").metadata
        guard let state, let date = stateDate ?? date(recordName) else { return nil }
        let isFinished = record.series?.isFinished == true
        picture = record.series.map { $0.index + (isFinished ? 2 : 1) }
        (self.name, self.path, saved) = (name, path, date.timeIntervalSince1970)
        isRunning = FileLock.isHeld(folder: path)
        let done = state["phase"].flatMap { Int($0) } ?? 0
        let phases = state["phases"].flatMap { Int($0) }
        self.phases = phases
        isDecoding = phases.map { done >= $0 } ?? false
        phase = min(done + 1, phases ?? .max)
        step = state["step"].flatMap { Int($0) } ?? 0
        steps = state["steps"].flatMap { Int($0) } ?? settings["steps"]?.integer
        size = settings["size"]?.string
        // The next picture's prompt is not known here.
        prompt = isFinished ? nil : settings["prompt"]?.string
    }

    /// The jobs as a text table; `now` is in seconds since 1970.
    package static func lines(_ jobs: [SavedJob], now: Double) -> [String] {
        let cells =
            [["JOB", "SAVED", "SIZE", "PROGRESS", "PROMPT"]]
            + jobs.map { job in
                let place =
                    (job.picture.map { "picture \($0), " } ?? "")
                    + (job.isDecoding
                        ? "decoding"
                        : "phase \(job.phase)" + (job.phases.map { "/\($0)" } ?? "")
                            + ", step \(job.step)" + (job.steps.map { "/\($0)" } ?? ""))
                let prompt = printable(job.prompt ?? "-", limit: 40)
                return [
                    job.name, TextTable.ago(now - job.saved), job.size ?? "-",
                    job.isRunning ? "\(place), rendering now" : place, prompt,
                ]
            }
        return TextTable.lines(cells)
    }
}
