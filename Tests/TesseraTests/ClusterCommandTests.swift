import Engine
import Foundation
import TestSupport
import Testing

/// Renders on the hosts of a cluster file, and workers that keep running between renders. All hosts are this machine
/// under different names.
@Suite(.serialized) struct ClusterCommandTests {
    private static let shell = "[sh, -c, \"{command}\"]"

    private func hosts(_ site: ClusterSite, _ names: [String], workers: Int = 1) -> String {
        names.map { "  - {name: \($0), workers: \(workers), threads: 1, tessera: \(site.program)}" }
            .joined(separator: "\n")
    }

    @Test func rendersOnTwoHostsTheSameBytes() throws {
        try inTemporaryFolder { folder in
            let site = try ClusterSite(folder)
            let whole = try site.local()
            try site.write(launch: Self.shell, hosts: hosts(site, ["alpha", "beta"]))
            let command = try site.render(["--min-workers", "2"])
            #expect(command.status == 0, "\(command.errors)")
            #expect(command.errors.contains("alpha-1:") && command.errors.contains("beta-1:"))
            #expect(try site.bytes() == whole)
            #expect(site.processes.isEmpty)
            #expect(site.clusters.isEmpty)
            // When interrupted while waiting, it ends and leaves nothing behind.
            try site.write(
                launch: "[sh, -c, 'exec sleep 60', '{command}']",
                hosts: "  - name: alpha"
            )
            let waiting = try site.start(site.picture + ["--cluster", site.file])
            #expect(eventually { !waiting.children.isEmpty })
            kill(waiting.process.processIdentifier, SIGINT)
            #expect(waiting.finish().status == 130)
        }
    }

    /// A process left behind by a launch command may keep its output open; no render waits for it.
    @Test func aLauncherThatLeavesAProcessHoldsNothingUp() throws {
        try inTemporaryFolder { folder in
            let site = try ClusterSite(folder)
            let note = "\(folder)/left"
            try site.write(
                launch: "[sh, -c, 'sleep 600 & echo $! >\(note); {command}']",
                hosts: hosts(site, ["alpha"])
            )
            let command = try site.render()
            #expect(command.status == 0, "\(command.errors)")
            let text = try String(contentsOfFile: note, encoding: .utf8)
            let left = try #require(Int32(text.split(separator: "\n").first ?? ""))
            #expect(kill(left, 0) == 0, "it ended before the render did")
            kill(left, SIGKILL)
        }
    }

    @Test func aClusterIsTestedAndItsFaultsAreNamed() throws {
        try inTemporaryFolder { folder in
            let site = try ClusterSite(folder)
            try site.write(launch: Self.shell, hosts: hosts(site, ["alpha", "beta"]))
            let good = try site.cluster("test")
            #expect(good.status == 0, "\(good.output)\(good.errors)")
            for text in ["the same as beta-1", "the same as alpha-1", "round trip"] {
                #expect(good.output.contains(text), "\(good.output)")
            }
            #expect(!good.output.contains("failed"))
            #expect(site.processes.isEmpty)

            // One host cannot be reached; the other is still tested.
            let gone = "\n  - {name: gone, launch: [sh, -c, 'echo no route; exit 5', '{command}']}"
            try site.write(launch: Self.shell, hosts: hosts(site, ["alpha"]) + gone)
            let bad = try site.cluster("test", ["--json"])
            #expect(bad.status == 69, "\(bad.errors)")
            let found = try JSONSerialization.jsonObject(with: Data(bad.output.utf8))
            let checks = (found as? [String: Any])?["checks"] as? [[String: Any]] ?? []
            let failed = checks.filter { $0["result"] as? String == "failed" }
            #expect(failed.map { $0["host"] as? String } == ["gone"], "\(bad.output)")
            #expect((failed.first?["detail"] as? String)?.contains("no route") == true)
            #expect(checks.contains { $0["host"] as? String == "alpha-1" })

            // A running render is not disturbed.
            try site.write(
                launch: "[sh, -c, 'exec sleep 60', '{command}']",
                hosts: "  - name: alpha"
            )
            let waiting = try site.start(site.picture + ["--cluster", site.file])
            #expect(eventually { !waiting.children.isEmpty })
            let refused = try site.cluster("test")
            #expect(refused.status == 69 && refused.output.isEmpty)
            #expect(refused.errors.contains("disturb"), "\(refused.errors)")
            kill(waiting.process.processIdentifier, SIGINT)
            _ = waiting.finish()
        }
    }

    @Test func aHostThatFailsIsNamedAndTheOthersGoOn() throws {
        try inTemporaryFolder { folder in
            let site = try ClusterSite(folder)
            let whole = try site.local()
            let broken = """
                \(hosts(site, ["alpha"]))
                  - {name: beta, launch: "sh -c 'echo no route to {host} >&2; exit 7' {command}"}
                  - {name: gamma, tessera: /nowhere/tessera}
                  - {name: delta, tessera: \(site.program), model: /nowhere/model}
                """
            try site.write(launch: Self.shell, hosts: broken)
            let command = try site.render()
            #expect(command.status == 0, "\(command.errors)")
            #expect(try site.bytes() == whole)
            for part in [
                "host beta: no route to beta; it ended with status 7", "sh -c 'echo no route",
                "host gamma:", "/nowhere/tessera", "status 127",
            ] { #expect(command.errors.contains(part), "\(part) in \(command.errors)") }
            // Fewer workers than requested.
            let refused = try site.render(["--min-workers", "2"])
            #expect(refused.status == 69, "\(refused.errors)")
            #expect(refused.complaints.count == 1, "\(refused.errors)")
            let complaint = refused.complaints.first ?? ""
            for part in ["beta", "gamma", "delta-1", "/nowhere/model", "--min-workers"] {
                #expect(complaint.contains(part), "\(part) in \(complaint)")
            }
            #expect(site.processes.isEmpty)
            #expect(try site.render(["--only", "alpha", "--min-workers", "1"]).status == 0)
            #expect(try site.render(["--only", "nobody"]).status == 64)
        }
    }

    /// However a coordinator ends, the workers that it started end, too.
    @Test func aKilledRenderLeavesNoWorkers() throws {
        try inTemporaryFolder { folder in
            let site = try ClusterSite(folder)
            try site.write(launch: Self.shell, hosts: hosts(site, ["alpha", "beta"]))
            let running = try site.start(
                site.picture + ["--cluster", site.file, "--steps", "400", "--min-workers", "2"]
            )
            #expect(running.waitFor("phase 2"), "\(running.errorsSoFar)")
            #expect(site.processes.count >= 2)
            kill(running.process.processIdentifier, SIGKILL)
            _ = running.finish()
            #expect(eventually { site.processes.isEmpty }, "\(site.processes)")
        }
    }

    @Test func workersStayFromUpToDown() throws {
        try inTemporaryFolder { folder in
            let site = try ClusterSite(folder)
            let whole = try site.local()
            try site.write(launch: Self.shell, hosts: hosts(site, ["alpha", "beta"], workers: 2))
            let before = try site.cluster("status")
            #expect(before.status == 0 && before.output.contains("down"), "\(before.errors)")

            let up = try site.cluster("up")
            #expect(up.status == 0, "\(up.errors)")
            #expect(up.output.contains("alpha") && up.output.contains("2/2"), "\(up.output)")
            let workers = Set(site.processes)
            #expect(workers.count == 4)
            // Running `up` again starts no workers.
            #expect(try site.cluster("up").status == 0)
            #expect(Set(site.processes) == workers)

            for _ in 0..<2 {
                let render = try site.render(["--min-workers", "4"])
                #expect(render.status == 0, "\(render.errors)")
                #expect(try site.bytes() == whole)
                #expect(Set(site.processes) == workers)
            }
            let precision = EngineOptions.best(for: .current, threads: 1).options.precision
                .rawValue
            let idle = try site.cluster("status")
            #expect(idle.output.contains("no coordinator"), "\(idle.output)")
            #expect(
                idle.output.contains("2/2") && idle.output.contains(precision),
                "\(idle.output)"
            )

            // When a worker is lost, `up` replaces it and leaves the others alone.
            let victim = try #require(workers.min())
            kill(victim, SIGKILL)
            #expect(eventually { site.processes.count == 3 })
            #expect(try site.cluster("status").output.contains("is gone"))
            let mended = try site.cluster("up")
            #expect(mended.status == 0, "\(mended.errors)")
            #expect(workers.subtracting([victim]).isSubset(of: site.processes))
            #expect(site.processes.count == 4)

            let down = try site.cluster("down")
            #expect(down.status == 0, "\(down.errors)")
            #expect(site.processes.isEmpty)
            #expect(site.clusters.isEmpty, "\(site.clusters)")
            let logs = "\(folder)/state/tessera/workers"
            #expect((try? FileManager.default.contentsOfDirectory(atPath: logs)) ?? [] == [])
            let again = try site.cluster("down")
            #expect(again.status == 0 && again.output.contains("nothing runs"))
        }
    }

    @Test func aWorkerThatIsKilledComesBack() throws {
        try inTemporaryFolder { folder in
            let site = try ClusterSite(folder)
            try site.write(launch: Self.shell, hosts: hosts(site, ["alpha"]))
            let long = ["--cluster", site.file, "--steps", "60"]
            let whole = try site.run(site.picture + long)
            #expect(whole.status == 0, "\(whole.errors)")
            let bytes = try site.bytes()
            let running = try site.start(site.picture + long)
            #expect(running.waitFor("phase 2"), "\(running.errorsSoFar)")
            let victim = try #require(site.processes.first)
            kill(victim, SIGKILL)
            #expect(eventually { site.processes.contains { $0 != victim } })
            let render = running.finish()
            #expect(render.status == 0, "the only worker was started again: \(render.errors)")
            #expect(render.errors.contains("killed by signal 9"), "\(render.errors)")
            #expect(render.errors.contains("starting again in 1.0 s (1 of 5)"), "\(render.errors)")
            #expect(try site.bytes() == bytes)
        }
    }

    @Test func statusSeesARenderThatRuns() throws {
        try inTemporaryFolder { folder in
            let site = try ClusterSite(folder)
            try site.write(launch: Self.shell, hosts: hosts(site, ["alpha", "beta"]))
            let running = try site.start(
                site.picture + ["--cluster", site.file, "--steps", "400", "--min-workers", "2"]
            )
            #expect(running.waitFor("phase 2"), "\(running.errorsSoFar)")
            usleep(1_500_000)
            let status = try site.cluster("status")
            kill(running.process.processIdentifier, SIGINT)
            #expect(running.finish().status == 130)
            let lines = status.output.split(separator: "\n")
            #expect(lines.count == 4, "\(status.output)")
            #expect(lines.last?.contains("process \(running.process.processIdentifier)") == true)
            for line in lines.dropFirst().prefix(2) {
                #expect(line.contains("rendering") && line.hasSuffix("s ago"), "\(line)")
            }
            #expect(site.processes.isEmpty)
        }
    }

    @Test func keysOfTheFileAreUsedAndNeverShown() throws {
        try inTemporaryFolder { folder in
            let site = try ClusterSite(folder)
            let whole = try site.local()
            for name in ["coordinator", "worker"] {
                #expect(try site.run(["keys", "new", "\(folder)/\(name)"]).status == 0)
            }
            try FileManager.default.copyItem(
                atPath: "\(folder)/worker.pub",
                toPath: "\(folder)/workers"
            )
            func write(_ key: String) throws {
                let text = """
                    coordinator:
                      endpoint: tcp://127.0.0.1:\(site.port)
                      keys: coordinator
                      allow: workers
                    model: \(site.model)
                    launch: \(Self.shell)
                    environment: {TESSERA_TEST_MARK: "\(site.mark)"}
                    timeouts: {join: 20}
                    hosts:
                      - name: alpha
                        tessera: \(site.program)
                        keys: \(folder)/\(key)
                        coordinator-key: \(folder)/coordinator.pub
                    """
                try text.write(toFile: site.file, atomically: true, encoding: .utf8)
            }
            try write("worker")
            #expect(try site.cluster("up").status == 0)
            let render = try site.render()
            #expect(render.status == 0, "\(render.errors)")
            #expect(try site.bytes() == whole)
            let secret = try #require(
                try String(contentsOfFile: "\(folder)/worker", encoding: .utf8)
                    .split(separator: "\n").last
            )
            for id in site.processes {
                let words = FileManager.default.contents(atPath: "/proc/\(id)/cmdline") ?? Data()
                #expect(words.range(of: Data(secret.utf8)) == nil)
            }
            #expect(try site.cluster("down").status == 0)
            // A key that is not on the list.
            #expect(try site.run(["keys", "new", "\(folder)/stranger"]).status == 0)
            try write("stranger")
            let refused = try site.cluster("up")
            #expect(refused.status == 69, "\(refused.errors)")
            let open = try String(contentsOfFile: "\(folder)/stranger.pub", encoding: .utf8)
            let key = open.trimmingCharacters(in: .whitespacesAndNewlines)
            for part in ["host alpha", "does not allow this worker's key", key, "--allow"] {
                #expect(refused.errors.contains(part), "\(part) in \(refused.errors)")
            }
            let status = try site.cluster("status")
            #expect(status.status == 69 && status.complaints.count == 1, "\(status.errors)")
            #expect(status.output.contains("not joined  0/1"), "\(status.output)")
            #expect(status.output.contains("alpha-1 runs but has not joined"))
            // It keeps retrying, and is admitted as soon as it is on the list.
            let waiting = Set(site.processes)
            #expect(waiting.count == 1)
            try open.write(toFile: "\(folder)/workers", atomically: true, encoding: .utf8)
            let mended = try site.cluster("up")
            #expect(mended.status == 0, "\(mended.errors)")
            #expect(Set(site.processes) == waiting)
            #expect(try site.cluster("down").status == 0)
            #expect(site.processes.isEmpty)
        }
    }

    /// The pid of a process that ended long ago may have been reused.
    @Test func downStopsOnlyItsOwnWorkers() throws {
        try inTemporaryFolder { folder in
            let site = try ClusterSite(folder)
            try site.write(launch: Self.shell, hosts: hosts(site, ["alpha"]))
            #expect(try site.cluster("up").status == 0)
            let workers = site.processes
            let bystander = Process()
            bystander.executableURL = URL(fileURLWithPath: "/bin/sleep")
            bystander.arguments = ["600"]
            try bystander.run()
            defer { kill(bystander.processIdentifier, SIGKILL) }
            let cluster = try #require(site.clusters.first)
            let path = "\(folder)/state/tessera/clusters/\(cluster)/started.json"
            let worker = try #require(workers.first)
            try String(contentsOfFile: path, encoding: .utf8)
                .replacing("\"id\" : \(worker)", with: "\"id\" : \(bystander.processIdentifier)")
                .write(toFile: path, atomically: true, encoding: .utf8)
            let down = try site.cluster("down")
            #expect(down.status == 0 && down.output.contains("gone already"), "\(down.output)")
            #expect(bystander.isRunning)
            #expect(site.processes == workers)
            for worker in workers { kill(worker, SIGTERM) }
            #expect(eventually { site.processes.isEmpty })
            // Nothing is guessed from a damaged record.
            try FileManager.default.createDirectory(
                atPath: (path as NSString).deletingLastPathComponent,
                withIntermediateDirectories: true
            )
            try "{".write(toFile: path, atomically: true, encoding: .utf8)
            for verb in ["up", "status", "down"] {
                let command = try site.cluster(verb)
                #expect(command.status == 64 && command.complaints.count == 1, "\(verb)")
            }
        }
    }

    /// A cluster file names its own keys, so the advice is about its fields, not about flags.
    @Test(arguments: ["render", "cluster"]) func aFileWithoutKeysGetsTheNamesOfTheFields(
        program: String
    ) throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/c.yaml"
            try """
            coordinator: {endpoint: "tcp://192.0.2.1:7551"}
            hosts:
              - name: localhost
            """.write(toFile: file, atomically: true, encoding: .utf8)
            let model = Fixtures.networks.first?.checkpoint ?? ""
            let words =
                program == "render"
                ? ["render", "--prompt", "x", "--size", "192x128"] : ["cluster", "up"]
            let command = try Command(words + ["--model", model, "--cluster", file], in: folder)
            #expect(command.status == 64 && command.complaints.count == 1, "\(command.errors)")
            let complaint = command.complaints.first ?? ""
            #expect(complaint.contains(file) && complaint.contains("coordinator: endpoint"))
            #expect(complaint.contains("with keys: and allow: under coordinator:"))
            #expect(!complaint.contains("--keys") && !complaint.contains("--allow"))
        }
    }

    @Test func upNeedsAnAddressAndHosts() throws {
        try inTemporaryFolder { folder in
            let file = "\(folder)/c.yaml"
            try "hosts:\n  - name: localhost\n".write(
                toFile: file,
                atomically: true,
                encoding: .utf8
            )
            let up = try Command(["cluster", "up", "--cluster", file])
            #expect(up.status == 64 && up.complaints.first?.contains("endpoint") == true)
            let site = try ClusterSite(folder)
            try site.write(
                launch: Self.shell,
                hosts: "  - {name: alpha, tessera: \(site.program), model: /nowhere}"
            )
            let failed = try site.cluster("up")
            #expect(failed.status == 69, "\(failed.errors)")
            #expect(failed.complaints.count == 1)
            let complaint = failed.complaints.first ?? ""
            #expect(complaint.contains("/nowhere"), "\(failed.errors)")
            // Reported once, and without duplicate full stops.
            #expect(!failed.output.contains("ended"), "\(failed.output)")
            #expect(
                failed.errors.split(separator: "\n").count { $0.contains("/nowhere") } == 1,
                "\(failed.errors)"
            )
            #expect(!complaint.contains(".."), "\(complaint)")
            #expect(site.processes.isEmpty && site.clusters.isEmpty, "\(site.clusters)")
        }
    }
}
