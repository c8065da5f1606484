import Engine
import Foundation
import TestSupport
import Testing

/// Workers that keep running between renders, and renders that need something else from them, find some of them gone,
/// or find another render in progress.
@Suite(.serialized) struct StandingWorkerTests {
    private typealias Site = ClusterSite

    private static let models = (
        Fixtures.networks.first?.checkpoint ?? "", Fixtures.networks.last?.checkpoint ?? ""
    )

    /// Writes a cluster file whose hosts are all this machine.
    ///
    /// - Parameters:
    ///   - site: site that gets the file
    ///   - isOpen: whether to use no keys
    ///   - hosts: names of the hosts
    ///   - mistaken: host that has a wrong key for the coordinator
    /// - Throws: if it cannot be written
    private func write(
        _ site: Site,
        isOpen: Bool = false,
        hosts: [String] = ["alpha", "beta"],
        mistaken: String? = nil
    ) throws {
        var keys = ""
        var coordinator = "{endpoint: \"tcp://127.0.0.1:\(site.port)\"}"
        if !isOpen {
            for name in ["coordinator", "worker"] {
                #expect(try site.run(["keys", "new", "\(site.folder)/\(name)"]).status == 0)
            }
            coordinator =
                "{endpoint: \"tcp://127.0.0.1:\(site.port)\", keys: coordinator, allow: worker.pub}"
            keys =
                ", keys: \(site.folder)/worker, coordinator-key: \(site.folder)/coordinator.pub"
        }
        let lines = hosts.map { host in
            let own =
                host == mistaken ? keys.replacing("coordinator.pub", with: "worker.pub") : keys
            return "  - {name: \(host), threads: 1, tessera: \(site.program)\(own)}"
        }
        let text = """
            coordinator: \(coordinator)
            model: \(site.model)
            launch: [sh, -c, "{command}"]
            environment: {TESSERA_TEST_MARK: "\(site.mark)"}
            timeouts: {start: 20, join: 60, stop: 10}
            hosts:
            \(lines.joined(separator: "\n"))
            """
        try text.write(toFile: site.file, atomically: true, encoding: .utf8)
    }

    /// What the picture's text says it was computed with.
    private func computation(_ site: Site) throws -> [String?] {
        let text = try PNGImage(file: "\(site.folder)/out.png").text["tessera"]
        let fields = try JSON(try #require(text).utf8, place: "text").object
        return ["precision", "backend", "device"].map { fields?[$0]?.string }
    }

    @Test func theyChangeToTheRendersModelAndBack() throws {
        try inTemporaryFolder { folder in
            let site = try Site(folder)
            let other = site.picture + ["--model", Self.models.1, "--workers", "1"]
            #expect(try site.run(other).status == 0)
            let whole = try site.bytes()
            try write(site)
            #expect(try site.cluster("up").status == 0)
            let workers = Set(site.processes)
            for model in [Self.models.1, Self.models.0] {
                let command = try site.render(["--model", model, "--min-workers", "2"])
                #expect(command.status == 0, "\(command.errors)")
                if model == Self.models.1 { #expect(try site.bytes() == whole) }
                #expect(Set(site.processes) == workers)
            }
            // A different backend lasts for one render.
            let own = EngineOptions.best(for: .current, threads: 1).options
            let next: BackendKind = own.backend == .onednn ? .openblas : .onednn
            for (flags, backend) in [
                (["--backend", next.rawValue, "--precision", "f32"], next), ([], own.backend),
            ] {
                let command = try site.render(flags + ["--min-workers", "2"])
                #expect(command.status == 0, "\(command.errors)")
                let found = try computation(site)
                #expect(found[1] == backend.rawValue && found[2]?.isEmpty == false, "\(found)")
                if backend == next { #expect(found[0] == "f32") }
            }
            #expect(Set(site.processes) == workers)
            #expect(try site.cluster("down").status == 0)
        }
    }

    /// Without keys, nobody can tell the workers which files to read: the render ends at once, and the next one works.
    @Test func aModelTheyDoNotHaveEndsTheRenderAndNotThem() throws {
        try inTemporaryFolder { folder in
            let site = try Site(folder)
            try write(site, isOpen: true)
            #expect(try site.cluster("up").status == 0)
            let workers = Set(site.processes)
            let began = ContinuousClock.now
            let refused = try site.render(["--model", Self.models.1])
            #expect(refused.status == 69 && refused.complaints.count == 1, "\(refused.errors)")
            #expect(ContinuousClock.now - began < .seconds(30))
            let complaint = refused.complaints.first ?? ""
            for part in [Self.models.0, Self.models.1, "no worker can join", "tessera cluster up"] {
                #expect(complaint.contains(part), "\(part) in \(complaint)")
            }
            let right = try site.render(["--min-workers", "2"])
            #expect(right.status == 0, "\(right.errors)")
            #expect(right.errors.contains("2 of 2 hosts took part"), "\(right.errors)")
            #expect(Set(site.processes) == workers)
            #expect(try site.cluster("down").status == 0)
        }
    }

    /// `up` soon names the host, the cause and the remedy, and neither `up` nor `status` counts the host's workers.
    @Test func upNamesAWorkerThatCannotJoin() throws {
        try inTemporaryFolder { folder in
            let site = try Site(folder)
            try write(site, mistaken: "beta")
            let began = ContinuousClock.now
            let up = try site.cluster("up")
            #expect(up.status == 69, "\(up.errors)")
            #expect(ContinuousClock.now - began < .seconds(45))
            let warnings = up.errors.split(separator: "\n").filter { $0.hasPrefix("warning: ") }
            #expect(warnings.count == 1, "\(up.errors)")
            for part in ["host beta", "does not use the coordinator's key"] {
                #expect(warnings.first?.contains(part) == true, "\(part) in \(up.errors)")
            }
            #expect(up.output.contains("not joined"), "\(up.output)")
            let only = try site.render(["--only", "alpha"])
            #expect(only.status == 0, "\(only.errors)")
            let status = try site.cluster("status")
            #expect(status.status == 69 && status.output.contains("not joined"), "\(status.output)")
            let workers = site.processes
            for worker in workers { kill(worker, SIGSTOP) }
            let stopped = try site.cluster("status")
            #expect(
                stopped.output.contains("kill -CONT \(workers.first ?? 0)"),
                "\(stopped.output)"
            )
            #expect(stopped.status == 69, "\(stopped.output)")
            for worker in workers { kill(worker, SIGCONT) }
            #expect(try site.cluster("down").status == 0)
        }
    }

    /// Workers that `up` left running on other hosts do not join.
    @Test func onlySelectsStandingWorkersToo() throws {
        try inTemporaryFolder { folder in
            let site = try Site(folder)
            try write(site)
            #expect(try site.cluster("up").status == 0)
            let command = try site.render(["--only", "beta", "--json"])
            #expect(command.status == 0, "\(command.errors)")
            #expect(!command.output.contains("alpha-1") && command.output.contains("beta-1"))
            #expect(command.errors.contains("1 of 1 host took part"), "\(command.errors)")
            #expect(try site.cluster("down").status == 0)
        }
    }

    @Test func whatIsGoneIsStartedForTheRender() throws {
        try inTemporaryFolder { folder in
            let site = try Site(folder)
            let whole = try site.local()
            try write(site, isOpen: true)
            #expect(try site.cluster("up").status == 0)
            let workers = Set(site.processes)
            let victim = try #require(workers.min())
            kill(victim, SIGKILL)
            #expect(eventually { site.processes.count == 1 })
            let status = try site.cluster("status")
            #expect(status.status == 69 && status.complaints.count == 1, "\(status.errors)")
            #expect(status.output.contains("gone"), "\(status.output)")
            let render = try site.render(["--min-workers", "2"])
            #expect(render.status == 0, "\(render.errors)")
            #expect(try site.bytes() == whole)
            #expect(
                render.errors.contains("-1 was gone, and another is started"),
                "\(render.errors)"
            )
            #expect(Set(site.processes) == workers.subtracting([victim]))
            // Now all of them are gone.
            for worker in site.processes { kill(worker, SIGKILL) }
            #expect(eventually { site.processes.isEmpty })
            let both = try site.render(["--min-workers", "2"])
            #expect(both.status == 0, "\(both.errors)")
            #expect(site.processes.isEmpty)
            #expect(try site.cluster("down").status == 0)
        }
    }

    @Test func aHostThatTookNoPartIsNamedAtTheEnd() throws {
        try inTemporaryFolder { folder in
            let site = try Site(folder)
            try write(site, isOpen: true, hosts: ["alpha", "beta"])
            let text = try String(contentsOfFile: site.file, encoding: .utf8)
            try (text + "\n  - {name: cave, tessera: \(site.program), model: /nowhere/model}\n")
                .write(toFile: site.file, atomically: true, encoding: .utf8)
            let render = try site.render(["--min-workers", "2"])
            #expect(render.status == 0, "\(render.errors)")
            let lines = render.errors.split(separator: "\n")
            let told = lines.filter { $0.contains("/nowhere/model") && $0.hasPrefix("warning: ") }
            #expect(told.count == 1 && told[0].contains("host cave: "), "\(render.errors)")
            let summary = lines.first { $0.contains("of 3 hosts took part") } ?? ""
            #expect(summary.contains("2 of 3") && summary.contains("cave did not ("), "\(summary)")
        }
    }

    @Test func aSecondRenderIsToldOfTheFirstOrWaits() throws {
        try inTemporaryFolder { folder in
            let site = try Site(folder)
            try write(site, isOpen: true, hosts: ["alpha"])
            let long =
                Array(site.picture.dropLast(2)) + [
                    "--cluster", site.file, "--steps", "400", "--checkpoint-every", "1",
                ]
            #expect(try site.run(site.picture + ["--wait"]).status == 64)
            let first = try site.start(long)
            #expect(first.waitFor("phase 2"), "\(first.errorsSoFar)")
            usleep(600_000)
            let refused = try site.render()
            #expect(refused.status == 69 && refused.complaints.count == 1, "\(refused.errors)")
            let complaint = refused.complaints.first ?? ""
            for part in [
                "process \(first.process.processIdentifier)", " render ", " %, phase 2 of 2",
                "--wait", NSUserName(),
            ] { #expect(complaint.contains(part), "\(part) in \(complaint)") }
            let began = ContinuousClock.now
            let waiting = try site.start(
                site.picture + ["--cluster", site.file, "--wait", "--json"]
            )
            #expect(waiting.waitFor("waiting for tcp://"), "\(waiting.errorsSoFar)")
            // A waiting render can be interrupted, and one that keeps waiting gets its turn.
            let impatient = try site.start(site.picture + ["--cluster", site.file, "--wait"])
            #expect(impatient.waitFor("waiting for tcp://"))
            kill(impatient.process.processIdentifier, SIGINT)
            #expect(impatient.finish().status == 130)
            usleep(3_000_000)
            kill(first.process.processIdentifier, SIGINT)
            #expect(first.finish().status == 130)
            let done = waiting.finish()
            #expect(done.status == 0, "\(done.errors)")
            // The reported time is the render's own, without the three seconds of waiting.
            let all = (ContinuousClock.now - began) / .seconds(1)
            let result = try JSON(done.output.utf8, place: "result").object
            let seconds = try #require(result?["seconds"]?.number)
            #expect(seconds > 0 && seconds < all - 3, "\(seconds) of \(all)")
            #expect(site.processes.isEmpty)
        }
    }
}
