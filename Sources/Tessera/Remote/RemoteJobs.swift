import ArgumentParser
import Coordinator
import Engine
import Service

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

    @OptionGroup var chosen: ChosenJobs

    func run() throws { try chosen.each { try $0.job("POST", "\($1.path)/cancel") } }
}

/// `tessera fetch`: saves the picture of a job of a service.
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
            guard found.state == .done else { throw RemoteJobUnfinished(job: found) }
            place.announce(display)
            try client.store(found, at: place, display)
        }
    }
}
