import Engine
import Foundation
import Logging

/// Where and how often a render is saved, and the command that resumes it.
package struct Saving: Sendable {
    /// Steps between saves; 0 never saves.
    package var every: Int
    /// The job's folder; nil creates one in the default folder.
    package var folder: String?
    /// The series that the picture belongs to; nil for a single picture.
    package var series: JobFolder.SeriesPlace?
    /// Whether another picture of the series comes after it.
    package var isFollowed = false
    /// The subcommand that renders, its arguments, and its working directory.
    private let command: String
    private let arguments: [String]
    private let directory: String

    package init(
        every: Int,
        folder: String?,
        command: String,
        arguments: [String],
        directory: String,
        series: JobFolder.SeriesPlace? = nil
    ) {
        (self.every, self.folder, self.series) = (every, folder, series)
        (self.command, self.arguments, self.directory) = (command, arguments, directory)
    }

    /// Saves nothing, so that the render cannot be resumed.
    package static let nothing = Saving(
        every: 0,
        folder: nil,
        command: "",
        arguments: [],
        directory: ""
    )

    /// The record of a render; for a resumed one, checks that nothing has changed.
    ///
    /// - Throws: `InputError` if the model, the init image or the settings differ from those that it was started with
    func record(
        of session: RenderSession,
        _ identity: ModelIdentity,
        resumed: Rendering.Resumed?
    ) throws(InputError) -> JobFolder.Record {
        let settings = session.text(digest: identity.digest).json
        guard let resumed else {
            return JobFolder.Record(
                command: command,
                arguments: arguments,
                directory: directory,
                digest: identity.digest,
                settings: settings,
                suggestions: session.options.suggestions.recorded,
                series: series
            )
        }
        let place = resumed.folder.path
        guard resumed.record.digest == identity.digest else {
            throw InputError(
                session.model.path,
                "the model is not the one that \(place) was started with",
                fix: "Restore the original files, or start over"
            )
        }
        guard resumed.record.settings == settings else {
            if let path = session.options.picture?.path, let digest = session.pictureDigest,
                !resumed.record.settings.contains(digest)
            {
                throw InputError(
                    path,
                    "the picture is not the one that \(place) was started with",
                    fix: "Restore the original file, or start over"
                )
            }
            if let path = session.options.mask?.path, let digest = session.mask?.identity?.digest,
                !resumed.record.settings.contains(digest)
            {
                throw InputError(
                    path,
                    "the mask is not the one that \(place) was started with",
                    fix: "Restore the original file, or start over"
                )
            }
            throw InputError(
                place,
                "its settings are not those that it was started with",
                fix: "Resume it with the same flags and version of Tessera"
            )
        }
        return resumed.record
    }

    /// - Returns: nil if saving is disabled or there is no folder for jobs
    func writer(
        _ record: JobFolder.Record,
        resumed: Rendering.Resumed?,
        logger: Logger
    ) throws -> CheckpointWriter? {
        guard every > 0 else { return nil }
        guard let path = resumed?.folder.path ?? folder ?? JobFolder.newPath() else {
            logger.warning(
                "the render is not saved and cannot be resumed: $HOME is not set; use --job-dir"
            )
            return nil
        }
        let whole = URL(fileURLWithPath: path).path
        // The rest of a series must not be lost if this picture ends before its first step is done.
        let held = try resumed?.folder ?? (series == nil ? nil : JobFolder(new: whole, record))
        return try CheckpointWriter(
            path: whole,
            folder: held,
            record: record,
            every: every
        ) { logger.warning("\($0)") }
    }
}
