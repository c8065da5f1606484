import ArgumentParser
import Coordinator
import Engine
import Service

/// `tessera jobs`: lists and changes the jobs of a service.
struct JobsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "Lists the jobs of tessera serve, pauses, resumes, moves and deletes them.",
        subcommands: [
            List.self, Pause.self, Resume.self, Priority.self, Move.self, Delete.self,
        ],
        defaultSubcommand: List.self
    )

    /// `tessera jobs list`, also the default subcommand.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists jobs, the newest first."
        )

        @OptionGroup(title: "Service") var server: ServerFlags

        @Option(help: "Only jobs in this state.")
        var state: JobState?

        @Option(help: ArgumentHelp("Only jobs of this user.", valueName: "name"))
        var user: String?

        @Option(help: ArgumentHelp("At most so many, 1 to 1000.", valueName: "n"))
        var limit = 20

        @Flag(help: "Print one line of JSON.")
        var json = false

        mutating func validate() throws {
            guard (1...1000).contains(limit) else {
                throw ValidationError("--limit must be from 1 to 1000.")
            }
        }

        func run() throws {
            try ExitStatus.reporting {
                if let user, !Caller.isName(user) {
                    throw InputError(
                        "--user \(user)",
                        "it is not a user's name",
                        fix: "Use 1 to 64 letters, digits or any of -._"
                    )
                }
                let client = try server.client()
                let query =
                    "limit=\(limit)" + (state.map { "&state=\($0.rawValue)" } ?? "")
                    + (user.map { "&user=\($0)" } ?? "")
                let answer = try client.json("GET", "/api/v1/jobs?\(query)")
                guard let items = answer.object?["jobs"]?.array else {
                    throw ServiceClientError.foreign("\(client.address)")
                }
                guard !json else { return try StandardOutput.write(answer.text) }
                let rows = items.compactMap { RemoteJob($0)?.row }
                guard rows.count == items.count else {
                    throw ServiceClientError.foreign("\(client.address)")
                }
                guard !rows.isEmpty else { return StandardError.write("no jobs") }
                try StandardOutput.write(lines: TextTable.lines([RemoteJob.heading] + rows))
            }
        }
    }

    /// `tessera jobs pause`
    struct Pause: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Stops jobs, wherever they are, until they are resumed; no finished step is lost."
        )

        @OptionGroup var chosen: ChosenJobs

        func run() throws { try chosen.each { try $0.job("POST", "\($1.path)/pause") } }
    }

    /// `tessera jobs resume`
    struct Resume: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lets paused jobs go on in their turn."
        )

        @OptionGroup var chosen: ChosenJobs

        func run() throws { try chosen.each { try $0.job("POST", "\($1.path)/resume") } }
    }

    /// `tessera jobs priority`
    struct Priority: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Gives jobs another priority; those of a higher one go first.",
            discussion: "A running job has its new share of the workers from its next step."
        )

        @OptionGroup var chosen: ChosenJobs

        @Option(help: ArgumentHelp("The priority, -100 to 100.", valueName: "n"))
        var to: Int

        func run() throws {
            let body = ServiceClient.Body(json: .object(["priority": .number(Double(to))]))
            try chosen.each { try $0.job("PATCH", $1.path, body: body) }
        }
    }

    /// `tessera jobs move`
    struct Move: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Moves a waiting job among those of its user and priority."
        )

        @OptionGroup(title: "Service") var server: ServerFlags

        @Option(
            help: ArgumentHelp(
                "The job that it goes before. (default: it becomes the last)",
                valueName: "job"
            ),
            transform: JobName.init
        )
        var before: JobName?

        @Argument(help: "The job's id.", transform: JobName.init)
        var job: JobName

        func run() throws {
            try ExitStatus.reporting {
                let place = before.map { JSON.string($0.id) } ?? .null
                try server.client().send(
                    answered: "POST",
                    "\(job.path)/move",
                    body: ServiceClient.Body(json: .object(["before": place]))
                )
            }
        }
    }

    /// `tessera jobs delete`
    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Deletes ended jobs and their pictures."
        )

        @OptionGroup(title: "Service") var server: ServerFlags

        @Argument(help: "The jobs' ids.", transform: JobName.init)
        var jobs: [JobName]

        func run() throws {
            try ExitStatus.reporting {
                let client = try server.client()
                for job in jobs { try client.send(answered: "DELETE", job.path) }
            }
        }
    }
}

/// The jobs of a service that a command applies to.
struct ChosenJobs: ParsableArguments {
    @OptionGroup(title: "Service") var server: ServerFlags

    @Flag(help: "Print a line of JSON for each job.")
    var json = false

    @Argument(help: "The jobs' ids.", transform: JobName.init)
    var jobs: [JobName]

    /// Changes the jobs one after the other. The first error stops this and sets the exit status.
    ///
    /// - Parameter change: changes one job
    /// - Throws: `ExitCode`
    func each(_ change: (ServiceClient, JobName) throws -> RemoteJob) throws {
        try ExitStatus.reporting {
            let client = try server.client()
            for name in jobs {
                let job = try change(client, name)
                if json { try StandardOutput.write(job.json.text) }
            }
        }
    }
}

extension JobState: ExpressibleByArgument {}
