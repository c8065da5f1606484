import ArgumentParser
import Coordinator
import Engine
import Service

/// `tessera jobs`: lists the jobs of a service.
struct ListJobs: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "Lists the jobs of tessera serve, the newest first."
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
            guard !rows.isEmpty else { return StandardError.write("no jobs") }
            try StandardOutput.write(lines: TextTable.lines([RemoteJob.heading] + rows))
        }
    }
}

extension JobState: ExpressibleByArgument {}

/// `tessera watch`: follows a job of a service.
struct Watch: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows the progress of a job of tessera serve until it has ended.",
        discussion:
            "Exit status: 0 done, 70 failed or cancelled. Interrupting it does not stop the job."
    )

    @OptionGroup(title: "Service") var server: ServerFlags
    @OptionGroup(title: "Output") var display: DisplayFlags

    @Argument(help: "The job's id, as submit prints it.", transform: JobName.init)
    var job: JobName

    func run() throws {
        try ExitStatus.reporting {
            let done = try RemoteWatch(try server.client(), job, isQuiet: display.quiet).run()
            if display.json { try StandardOutput.write(done.json.text) }
        }
    }
}

/// `tessera cancel`: cancels jobs of a service.
struct Cancel: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Cancels jobs of tessera serve, wherever they are."
    )

    @OptionGroup(title: "Service") var server: ServerFlags

    @Flag(help: "Print a line of JSON for each job.")
    var json = false

    @Argument(help: "The jobs' ids.", transform: JobName.init)
    var jobs: [JobName]

    func run() throws {
        try ExitStatus.reporting {
            let client = try server.client()
            for name in jobs {
                let job = try client.job("POST", "\(name.path)/cancel")
                if json { try StandardOutput.write(job.json.text) }
            }
        }
    }
}

/// `tessera fetch`: stores the picture of a job of a service.
struct Fetch: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stores the picture of a job of tessera serve and prints its path."
    )

    @OptionGroup(title: "Service") var server: ServerFlags
    @OptionGroup(title: "Output") var outputs: RemoteOutputFlags
    @OptionGroup(title: "Output") var display: DisplayFlags

    @Flag(help: "Wait until the job is done.")
    var wait = false

    @Argument(help: "The job's id, as submit prints it.", transform: JobName.init)
    var job: JobName

    func run() throws {
        try ExitStatus.reporting {
            let client = try server.client()
            var found = try client.job("GET", job.path)
            let place = try outputs.place(ofStored: found.format)
            if wait { found = try RemoteWatch(client, job, isQuiet: display.quiet).run() }
            if [.failed, .cancelled].contains(found.state) { throw RemoteJobEnded(job: found) }
            place.announce(display)
            try client.store(found, at: place, display)
        }
    }
}
