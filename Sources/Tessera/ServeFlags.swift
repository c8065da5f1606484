import ArgumentParser
import Coordinator
import Engine
import Foundation
import Logging
import Service

/// Limits on what clients of the service may ask for.
struct ServeLimitFlags: ParsableArguments {
    @Option(help: ArgumentHelp("Largest picture, in pixels.", valueName: "n"))
    var maxPixels = ServiceLimits().pixels

    @Option(help: ArgumentHelp("Most sampling steps of a phase.", valueName: "n"))
    var maxSteps = ServiceLimits().steps

    @Option(help: ArgumentHelp("Most UNet calls of a picture.", valueName: "n"))
    var maxEvaluations = ServiceLimits().evaluations

    @Option(help: ArgumentHelp("Most unfinished jobs of one user.", valueName: "n"))
    var maxJobsPerUser = ServiceLimits().jobsPerUser

    @Option(
        help: ArgumentHelp(
            "Most pixels of one user's unfinished jobs together. (default: no limit)",
            valueName: "n"
        )
    )
    var maxQueuedPixelsPerUser: Int?

    @Option(
        help: ArgumentHelp(
            "Bytes of one user's finished pictures from which on the user's new jobs are refused. (default: no limit)",
            valueName: "n"
        )
    )
    var maxStoredBytesPerUser: Int?

    @Option(help: ArgumentHelp("Most unfinished jobs of all users.", valueName: "n"))
    var maxJobs = ServiceLimits().jobs

    @Option(
        help: ArgumentHelp("Largest body of a request with pictures, in bytes.", valueName: "n")
    )
    var maxUpload = ServiceLimits().upload

    @Option(
        help: ArgumentHelp("Largest body of a request without pictures, in bytes.", valueName: "n")
    )
    var maxBody = ServiceLimits().body

    @Option(
        help: ArgumentHelp(
            "Most bytes of pictures that clients have sent and that are kept.",
            valueName: "n"
        )
    )
    var maxInputBytes = ServiceLimits().inputBytes

    @Option(help: ArgumentHelp("Most requests of one caller in a second.", valueName: "n"))
    var maxRequestsPerSecond = ServiceLimits().requestsPerSecond

    @Option(
        help: ArgumentHelp(
            "Days after which finished jobs and their pictures are deleted. (default: never)",
            valueName: "days"
        )
    )
    var keepDays: Double?

    @Option(
        help: ArgumentHelp(
            "Bytes of finished pictures above which the oldest are deleted. (default: no limit)",
            valueName: "bytes"
        )
    )
    var keepBytes: Int?

    mutating func validate() throws {
        for (flag, value) in [
            ("--max-pixels", maxPixels), ("--max-steps", maxSteps),
            ("--max-evaluations", maxEvaluations), ("--max-jobs-per-user", maxJobsPerUser),
            ("--max-jobs", maxJobs), ("--keep-bytes", keepBytes ?? 1),
            ("--max-upload", maxUpload), ("--max-requests-per-second", maxRequestsPerSecond),
            ("--max-body", maxBody), ("--max-input-bytes", maxInputBytes),
            ("--max-queued-pixels-per-user", maxQueuedPixelsPerUser ?? 1),
            ("--max-stored-bytes-per-user", maxStoredBytesPerUser ?? 1),
        ] where value < 1 {
            throw ValidationError("\(flag) must be at least 1.")
        }
        if let keepDays, !(keepDays > 0 && keepDays < 1e6) {
            throw ValidationError("--keep-days must be above 0 and below 1000000.")
        }
    }

    var limits: ServiceLimits {
        var limits = ServiceLimits()
        (limits.pixels, limits.steps, limits.evaluations) = (maxPixels, maxSteps, maxEvaluations)
        (limits.jobsPerUser, limits.jobs) = (maxJobsPerUser, maxJobs)
        (limits.upload, limits.requestsPerSecond) = (maxUpload, maxRequestsPerSecond)
        (limits.body, limits.inputBytes) = (maxBody, maxInputBytes)
        limits.queuedPixelsPerUser = maxQueuedPixelsPerUser
        limits.storedBytesPerUser = maxStoredBytesPerUser
        return limits
    }

    var retention: Retention { Retention(age: keepDays.map { $0 * 86_400 }, bytes: keepBytes) }
}

/// Flags for the service's log.
struct ServeLogFlags: ParsableArguments {
    enum Format: String, CaseIterable, ExpressibleByArgument {
        case text
        case json
    }

    @Option(help: "Form of log lines on standard error.")
    var logFormat = Format.text

    var logger: Logger {
        switch logFormat {
        case .text: StandardErrorLog.logger
        case .json: Logger(label: "tessera") { _ in JSONLog(level: .info) }
        }
    }
}

/// Machine-readable log lines: one JSON object each.
struct JSONLog: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(level: Logger.Level) { logLevel = level }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var object = metadata.merging(event.metadata ?? [:]) { _, new in new }
            .mapValues { JSON.string("\($0)") }
        object["time"] = .number(Date().timeIntervalSince1970)
        object["level"] = .string(event.level.rawValue)
        object["message"] = .string("\(event.message)")
        StandardError.write(JSON.object(object).text)
    }
}
