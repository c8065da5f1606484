import Coordinator
import Engine
import Sampling

/// A job with its progress, as returned by the API.
package struct JobView: Sendable {
    let job: Job
    let progress: JobProgress?

    package init(_ job: Job, progress: JobProgress?) { (self.job, self.progress) = (job, progress) }

    package static let shape = Shape<JobView>([
        .init("id", .string, "Name of the job.") { .string($0.job.id) },
        .init("number", .nullable(.integer), "Order of submission, from 1.") {
            .optional($0.job.number.map { Int($0) })
        },
        .init("user", .string, "Who submitted it.") { .string($0.job.user) },
        .init(
            "state",
            .choice(JobState.allCases.map(\.rawValue)),
            "Where the job is. A running job that is asked to stop keeps running until its render has ended."
        ) { .string($0.job.state.rawValue) },
        .init(
            "stopping",
            .nullable(.choice(JobRequestedChange.allCases.map(\.rawValue))),
            "What follows once its render has stopped."
        ) { .optional($0.job.intent?.rawValue) },
        .init("priority", .integer, "Jobs of a higher priority go first.") {
            .count($0.job.priority)
        },
        .init("position", .nullable(.integer), "Of its user's jobs the smallest goes first.") {
            .optional(($0.job.position ?? $0.job.number).map { Int($0) })
        },
        .init("model", .string, "Name of the model.") { .string($0.job.model) },
        .init("request", .reference("JobRequest"), "What was asked for, with the seed.") {
            (try? JSON($0.job.request.utf8, place: "job")) ?? .object([:])
        },
        .init("width", .integer, "In pixels.") { .count($0.job.width) },
        .init("height", .integer, "In pixels.") { .count($0.job.height) },
        .init("unetCalls", .integer, "UNet evaluations that it takes.") {
            .count($0.job.evaluations)
        },
        .init("created", .number, "Seconds since 1970.") { .number($0.job.created) },
        .init("started", .nullable(.number), "Seconds since 1970.") { .optional($0.job.started) },
        .init("finished", .nullable(.number), "Seconds since 1970.") {
            .optional($0.job.finished)
        },
        .init("error", .nullable(.string), "Why it failed.") { .optional($0.job.error) },
        .init("pictureBytes", .nullable(.integer), "Of the finished picture.") {
            .optional($0.job.bytes)
        },
        .init("progress", .nullable(.reference("Progress")), "While it is running.") {
            $0.progress?.json ?? .null
        },
    ])
}

extension JobProgress {
    /// The schema of `json`.
    static var schema: JSON {
        let integers: [(String, String)] = [
            ("phase", "From 1; 0 before the first."), ("phases", "Number of phases."),
            ("step", "Steps of the phase that have begun."), ("steps", "Steps of the phase."),
            ("views", "Views that are done."), ("allViews", "Views of all phases."),
            ("tiles", "Tiles of the present pass that are done."),
            ("allTiles", "Tiles of the present pass."),
        ]
        var properties: [String: JSON] = [:]
        for (name, help) in integers { properties[name] = Schema.integer.described(help) }
        properties["stage"] = Schema.choice(Stage.allCases.map(\.rawValue))
            .described("What is being done.")
        properties["share"] = Schema.number.described("Share of the views that are done, 0 to 1.")
        properties["viewsPerSecond"] = Schema.nullable(.number)
            .described("Rate of all workers together.")
        properties["secondsLeft"] = Schema.nullable(.number)
            .described("Until the last view is done; decoding follows.")
        return .object([
            "type": .string("object"), "properties": .object(properties),
            "required": .array(properties.keys.sorted().map(JSON.string)),
        ])
    }
}

extension InputFolder.Stored {
    static let shape = Shape<InputFolder.Stored>([
        .init("id", .string, "What a job's initImage or mask names it by.") { .string($0.id) },
        .init("width", .integer, "In pixels.") { .count($0.width) },
        .init("height", .integer, "In pixels.") { .count($0.height) },
    ])
}

extension JobRequest {
    static var schema: JSON {
        .object([
            "type": .string("object"),
            "required": .array(fields.filter(\.isRequired).map { .string($0.name) }),
            "additionalProperties": .bool(false),
            "properties": .object(
                Dictionary(
                    fields.map { ($0.name, $0.schema.described($0.help)) },
                    uniquingKeysWith: { $1 }
                )
            ),
        ])
    }

    /// The schema of `settings`, generated from the declarations of the settings.
    static var settingsSchema: JSON {
        .object([
            "type": .string("object"),
            "additionalProperties": .bool(false),
            "properties": .object(
                Dictionary(
                    Settings.all.map {
                        ($0.name, Schema.given($0.schema).described($0.fullHelp))
                    },
                    uniquingKeysWith: { $1 }
                )
            ),
        ])
    }
}

extension WorkerStatistics {
    static let shape = Shape<WorkerStatistics>([
        .init("name", .string, "Name of the worker.") { .string($0.name) },
        .init("active", .boolean, "Whether it gets work now.") { .bool($0.isActive) },
        .init("processor", .string, "Its processor.") { .string($0.processor) },
        .init("threads", .integer, "Threads that it computes with.") { .count($0.threads) },
        .init("backend", .string, "Its numerical backend.") { .string($0.backend) },
        .init("precision", .string, "Its arithmetic.") { .string($0.precision) },
        .init("views", .integer, "Views that it has computed for this model.") {
            .count($0.views)
        },
        .init("tiles", .integer, "Tiles that it has computed for this model.") {
            .count($0.tiles)
        },
        .init("busySeconds", .number, "How long it has computed.") {
            .number($0.busy / .seconds(1))
        },
    ])
}
