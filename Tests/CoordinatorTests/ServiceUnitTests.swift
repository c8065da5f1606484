import Fleet
import Foundation
import TestSupport
import Testing

@Suite struct ServiceUnitTests {
    private func unit(isForSystem: Bool) -> ServiceUnit {
        ServiceUnit(
            role: "worker",
            cluster: "[fe80::1]:7551",
            program: "/opt/my programs/tessera",
            arguments: ["worker", "--name", "a \"b\" 100% $HOME \\"],
            environment: ["TESSERA_TORCH": "/opt/torch $x"],
            isForSystem: isForSystem
        )
    }

    @Test func wordsMeanThemselves() {
        let lines = unit(isForSystem: true).text.split(separator: "\n").map(String.init)
        let command =
            #"ExecStart="/opt/my programs/tessera" "worker" "--name" "a \"b\" 100%% $$HOME \\""#
        #expect(lines.contains(command), "\(lines)")
        #expect(lines.contains(#"Environment="TESSERA_TORCH=/opt/torch $x""#))
        #expect(lines.contains("Restart=always") && lines.contains("WantedBy=multi-user.target"))
    }

    @Test func aUsersUnitIsStartedForTheUser() throws {
        let unit = unit(isForSystem: false)
        #expect(unit.name == "tessera-worker--fe80--1--7551")
        #expect(unit.text.contains("WantedBy=default.target"))
        #expect(unit.startCommands.contains("systemctl --user enable --now \(unit.name)"))
        try inTemporaryFolder { folder in
            // Installing it a second time replaces the first one; nothing else is left.
            for _ in 0..<2 {
                let path = try unit.install(in: "\(folder)/systemd/user")
                #expect(try String(contentsOfFile: path, encoding: .utf8) == unit.text)
            }
            let files = try FileManager.default.contentsOfDirectory(
                atPath: "\(folder)/systemd/user"
            )
            #expect(files == ["\(unit.name).service"])
        }
    }
}
