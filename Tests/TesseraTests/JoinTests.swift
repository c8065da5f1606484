import Foundation
import TestSupport
import Testing

/// Machines that join a cluster by invitation, each on its own host. Needs root, for network namespaces.
@Suite(.serialized, .enabled(if: TestNetwork.isPossible)) struct JoinTests {
    private static let model = Fixtures.networks.first?.checkpoint ?? ""

    /// A cluster file, its coordinator's host, and machines that can be invited.
    private final class Site {
        let folder: String
        let network: TestNetwork
        var file: String { "\(folder)/cluster.yaml" }

        private let isShared: Bool

        init(_ folder: String, machines: Int, isShared: Bool = false) throws {
            (self.folder, self.isShared) = (folder, isShared)
            network = try TestNetwork(hosts: machines, isShared: isShared)
        }

        /// Writes the cluster file. Unless `isComplete`, one of its hosts never answers, so that a render can be made
        /// to wait.
        func write(isComplete: Bool) throws {
            let hung =
                "  - {name: hung, workers: 6, launch: [sh, -c, 'exec sleep 100', '{command}']}\n"
            let text = """
                coordinator: {endpoint: "tcp://*:7551", connect: "tcp://127.0.0.1:7551"}
                model: \(JoinTests.model)
                timeouts: {start: 100}
                hosts:
                  - {name: localhost, threads: 1}
                \(isComplete ? "" : hung)
                """
            try text.write(toFile: file, atomically: true, encoding: .utf8)
        }

        func start(_ arguments: [String], on host: String) throws -> Command.Running {
            try Command.Running(
                arguments,
                environment: [
                    "XDG_STATE_HOME": "\(folder)/state",
                    "XDG_CONFIG_HOME": "\(folder)/\(host.suffix(1))",
                ],
                on: host
            )
        }

        func cluster(_ arguments: [String]) throws -> Command {
            let all = ["cluster"] + arguments + ["--cluster", file]
            return try start(all, on: network.centre).finish()
        }

        /// Invitation code with the coordinator's address as the machine sees it.
        func invite(_ more: [String] = [], machine: Int = 0) throws -> String {
            let address = "10.77.\(isShared ? 200 : machine).1"
            let command = try cluster(["invite", "--address", address] + more)
            #expect(command.status == 0, "\(command.errors)")
            let words = command.output.split(separator: " ")
            #expect(words.count == 3 && command.output.hasPrefix("tessera join tessera://10.77."))
            return String(words.last ?? "").trimmingCharacters(in: .newlines)
        }

        func join(_ code: [String], machine: Int, _ more: [String] = []) throws -> Command.Running {
            try start(
                ["join"] + code + ["--model", JoinTests.model, "--threads", "1"] + more,
                on: network.hosts[machine]
            )
        }

        /// Joins with an empty disk: the coordinator's model is hidden from the machine, and its cache from other
        /// machines.
        func joinWithoutModel(_ code: String, machine: Int, _ more: [String]) throws
            -> Command.Running
        {
            let hide = "mount -t tmpfs none '\(JoinTests.model)' && exec \"$@\""
            return try Command.Running(
                ["join", code, "--threads", "1"] + more,
                environment: [
                    "XDG_CONFIG_HOME": "\(folder)/\(machine)",
                    "XDG_CACHE_HOME": "\(folder)/cache\(machine)",
                ],
                through: ["ip", "netns", "exec", network.hosts[machine], "sh", "-c", hide, "sh"]
            )
        }

        func render(_ more: [String]) throws -> Command.Running {
            let arguments = [
                "render", "--prompt", "a prompt", "--size", "200x136", "--steps", "6", "--seed",
                "5", "--output", "\(folder)/out.png", "--cluster", file,
            ]
            return try start(arguments + more, on: network.centre)
        }

        func serve() throws -> Command.Running {
            let places = ["--listen", "127.0.0.1:0", "--data", "\(folder)/service"]
            return try start(["serve", "--cluster", file] + places, on: network.centre)
        }

        func finishRender(_ more: [String]) throws -> (Data, Command) {
            let command = try render(more).finish()
            #expect(command.status == 0, "\(command.errors)")
            return (try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out.png")), command)
        }
    }

    @Test func theModelComesFromANeighbourAndThePictureIsTheSame() throws {
        try inTemporaryFolder { folder in
            let site = try Site(folder, machines: 2, isShared: true)
            try site.write(isComplete: true)
            let service = try site.serve()
            #expect(service.waitFor("serving"), "\(service.errorsSoFar)")
            let code = try site.invite(["--uses", "2"])
            let first = try site.joinWithoutModel(
                code,
                machine: 0,
                ["--name", "a", "--share", "0"]
            )
            #expect(first.waitFor("model fetched: "), "\(first.errorsSoFar)")
            #expect(!first.errorsSoFar.contains("from neighbours"))
            #expect(first.waitFor("joined endpoint"), "\(first.errorsSoFar)")
            let second = try site.joinWithoutModel(code, machine: 1, ["--name", "b"])
            #expect(second.waitFor("from neighbours), kept in"), "\(second.errorsSoFar)")
            #expect(
                second.errorsSoFar.contains("fetching the model from the neighbour at 10.77.200.2:")
            )
            #expect(!second.errorsSoFar.contains("left out"), "\(second.errorsSoFar)")
            #expect(second.waitFor("joined endpoint"), "\(second.errorsSoFar)")
            #expect(first.waitFor("sent 100 % of the model to a machine of this network"))
            kill(service.process.processIdentifier, SIGINT)
            _ = service.finish()
            // With and without the machines, the picture has the same bytes.
            let (picture, command) = try site.finishRender(["--min-workers", "3"])
            for name in ["a: ", "b: "] {
                #expect(command.errors.contains(name), "\(command.errors)")
            }
            _ = KeyedSite.end([first, second])
            for name in ["a", "b"] { #expect(try site.cluster(["remove", name]).status == 0) }
            #expect(try site.finishRender([]).0 == picture)
        }
    }

    private func expectRefusal(_ running: Command.Running, _ text: String) {
        let command = running.finish()
        #expect(command.status == 64, "\(command.errors)")
        #expect(command.complaints.count == 1, "\(command.errors)")
        #expect(command.complaints.first?.contains(text) == true, "\(command.errors)")
    }

    @Test func anInvitedMachineWorksUntilItIsRemoved() throws {
        try inTemporaryFolder { folder in
            let site = try Site(folder, machines: 2)
            try site.write(isComplete: true)
            let code = try site.invite()
            let machine = try site.join([code], machine: 0, ["--name", "box"])
            #expect(machine.waitFor("no coordinator answers"))
            let (whole, alone) = try site.finishRender(["--min-workers", "2"])
            #expect(alone.errors.contains("machine box ("), "\(alone.errors)")
            #expect(alone.errors.contains("box: "), "\(alone.errors)")
            #expect(machine.waitFor("joined as box"), "\(machine.errorsSoFar)")
            // It stays, and works for the next render.
            let (again, second) = try site.finishRender(["--min-workers", "2"])
            #expect(again == whole && second.errors.contains("box: "), "\(second.errors)")
            #expect(!second.errors.contains("machine box"))

            // When removed while a coordinator runs, it is disconnected at once.
            try site.write(isComplete: false)
            let waiting = try site.render(["--min-workers", "7"])
            #expect(times("joined endpoint", in: machine, reach: 3), "\(machine.errorsSoFar)")
            let members = try site.cluster(["members"])
            #expect(
                members.output.contains("box") && members.output.contains("10.77.0.2"),
                "\(members.output)"
            )
            #expect(!members.output.contains("never"))
            let removal = try site.cluster(["remove", "box"])
            #expect(removal.status == 0 && removal.output.contains("box"), "\(removal.errors)")
            #expect(waiting.waitFor("was taken off the list"), "\(waiting.errorsSoFar)")
            #expect(machine.waitFor("the coordinator took this worker off its list"))
            #expect(machine.waitFor("was removed from the cluster"))
            #expect(!machine.errorsSoFar.contains("stopped responding"), "\(machine.errorsSoFar)")
            #expect(!machine.errorsSoFar.contains("--allow"), "\(machine.errorsSoFar)")
            #expect(try site.cluster(["remove", "box"]).status == 64)
            // Neither this machine nor anyone else can come back with that code.
            kill(machine.process.processIdentifier, SIGTERM)
            _ = machine.finish()
            expectRefusal(try site.join([code], machine: 0), "was withdrawn")
            kill(waiting.process.processIdentifier, SIGINT)
            #expect(waiting.finish().status == 130)
        }
    }

    /// Waits until `text` has been written `count` times; false if a minute passes.
    private func times(_ text: String, in running: Command.Running, reach count: Int) -> Bool {
        for _ in 0..<1200 {
            if running.errorsSoFar.components(separatedBy: text).count > count { return true }
            usleep(50_000)
        }
        return false
    }

    /// An idle service is not reported as a render, and machines that joined are listed with their resources.
    private func expectIdleService(_ site: Site, machines: Int) throws {
        var status = ""
        #expect(
            eventually {
                status = (try? site.cluster(["status"]).output) ?? ""
                return status.components(separatedBy: " joined ").count == machines + 2
            },
            "\(status)"
        )
        let lines = status.split(separator: "\n").map(String.init)
        for line in lines where line.contains(" joined ") {
            // HOST, STATE, WORKERS, MODEL, CORES
            let cells = line.split(separator: " ")
            #expect(cells[2] == "1/1" && Int(cells[4]) != nil, "\(line)")
        }
        #expect(lines.last?.hasSuffix(", service, idle") == true, "\(status)")
        let top = try site.cluster(["top", "--once"]).output
        #expect(top.contains(", service, idle; 0 units left"), "\(top)")
        let test = try site.cluster(["test"])
        #expect(test.status == 69 && test.complaints.first?.contains("'s service (process") == true)
        let picture = try site.render(["--wait"]).finish()
        #expect(picture.status == 69 && picture.errors.contains("tessera submit"))
        for text in [status, top, test.errors] { #expect(!text.contains("render"), "\(text)") }
    }

    /// A coordinator that computes nothing itself.
    @Test func noHostNeedsToBeListed() throws {
        try inTemporaryFolder { folder in
            let site = try Site(folder, machines: 1)
            let text = """
                coordinator: {endpoint: "tcp://*:7551"}
                model: \(JoinTests.model)
                """
            try text.write(toFile: site.file, atomically: true, encoding: .utf8)
            let up = try Command(["cluster", "up", "--cluster", site.file])
            #expect(up.status == 64 && up.errors.contains("tessera cluster invite"), "\(up.errors)")
            // This makes the keys, and the invitation expires before anyone uses it.
            _ = try site.invite(["--for", "1s"])
            sleep(2)
            let nobody = try site.render([]).finish()
            #expect(nobody.status == 69 && nobody.complaints.count == 1, "\(nobody.errors)")
            #expect(nobody.errors.contains("no worker can join"), "\(nobody.errors)")
            #expect(nobody.errors.contains("tessera cluster invite"), "\(nobody.errors)")
            let code = try site.invite()
            let render = try site.render([])
            let machine = try site.join([code], machine: 0, ["--name", "only"])
            #expect(machine.waitFor("joined endpoint"), "\(machine.errorsSoFar)")
            let end = render.finish()
            #expect(end.status == 0 && end.errors.contains("only: "), "\(end.errors)")
            #expect(end.errors.contains("\n1 worker took part\n"), "\(end.errors)")
            let alone = try Command([
                "render", "--prompt", "a prompt", "--size", "200x136", "--steps", "6", "--seed",
                "5", "--model", JoinTests.model, "--output", "\(folder)/alone.png",
            ])
            #expect(alone.status == 0, "\(alone.errors)")
            let pictures = try ["out", "alone"].map {
                try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\($0).png"))
            }
            #expect(pictures[0] == pictures[1])
            _ = KeyedSite.end([machine])
        }
    }

    @Test func usedAndEndedInvitationsAreRefused() throws {
        try inTemporaryFolder { folder in
            let site = try Site(folder, machines: 2)
            try site.write(isComplete: true)
            // An idle service listens, too, and has keys before anyone is invited.
            let coordinator = try site.serve()
            #expect(coordinator.waitFor("serving"), "\(coordinator.errorsSoFar)")
            let short = try site.invite(["--for", "1s"])
            let once = try site.invite()
            let twice = try site.invite(["--uses", "2"])
            let first = try site.join([once], machine: 0)
            #expect(first.waitFor("joined as"), "\(first.errorsSoFar)")
            // Another machine has another key: the code was stolen, or is being reused.
            let stolen = once.replacing("10.77.0.1", with: "10.77.1.1")
            expectRefusal(try site.join([stolen], machine: 1), "has been used by another machine")
            #expect(coordinator.waitFor("was not allowed to join: invitation"))
            // The same machine may use the code again, for example after a lost answer, and keeps its name.
            let again = try site.join([once], machine: 0)
            #expect(again.waitFor("joined as"), "\(again.errorsSoFar)")
            usleep(500_000)
            expectRefusal(try site.join([short], machine: 0), "ended")
            let other = twice.replacing("10.77.0.1", with: "10.77.1.1")
            let second = try site.join([other], machine: 1)
            #expect(second.waitFor("joined as"), "\(second.errorsSoFar)")
            let members = try site.cluster(["members", "--json"])
            #expect(members.output.contains("\"used\":1") && members.output.contains("\"uses\":2"))

            try expectIdleService(site, machines: 2)
            expectRefusal(
                try site.join([String(once.dropLast(3)), String(once.suffix(3))], machine: 1),
                "a space or a line break"
            )
            let place = once.index(once.endIndex, offsetBy: -20)
            let typo = once.replacingCharacters(
                in: place...place,
                with: once[place] == "x" ? "y" : "x"
            )
            expectRefusal(try site.join([typo], machine: 1), "a character of its code is wrong")
            // An invitation to a cluster with other keys.
            let elsewhere = try Site("\(folder)/elsewhere", machines: 0)
            try FileManager.default.createDirectory(
                atPath: elsewhere.folder,
                withIntermediateDirectories: true
            )
            try elsewhere.write(isComplete: true)
            let foreign = try elsewhere.invite()
            expectRefusal(
                try site.join([foreign], machine: 0),
                "is not the coordinator of this invitation"
            )
            _ = KeyedSite.end([first, again, second])
            kill(coordinator.process.processIdentifier, SIGINT)
            _ = coordinator.finish()
        }
    }
}
