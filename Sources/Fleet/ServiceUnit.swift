import Engine
import Foundation

/// A systemd unit that runs a worker or a relay: for the whole system if root installs it, else for this user.
package struct ServiceUnit: Sendable {
    /// The unit's name, without `.service`.
    package let name: String
    package let isForSystem: Bool
    /// The content of its file.
    package let text: String

    /// - Parameters:
    ///   - role: what the unit runs, "worker" or "relay"
    ///   - cluster: human-readable name of the cluster: its coordinator's address
    ///   - program: path of the program
    ///   - arguments: arguments of the program
    ///   - environment: environment variables that the program needs
    ///   - isForSystem: whether it is a unit of the whole system rather than of this user
    package init(
        role: String,
        cluster: String,
        program: String,
        arguments: [String],
        environment: [String: String],
        isForSystem: Bool
    ) {
        let safe = cluster.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
        name = "tessera-\(role)-\(String(safe.prefix(60)))"
        self.isForSystem = isForSystem
        let command = ([program] + arguments)
            .map { Self.quoted($0).replacing("$", with: "$$") }.joined(separator: " ")
        let variables = environment.sorted { $0.key < $1.key }
            .map { "Environment=\(Self.quoted("\($0.key)=\($0.value)"))\n" }.joined()
        text = """
            [Unit]
            Description=Tessera \(role) for \(String(safe.prefix(60)))
            Wants=network-online.target
            After=network-online.target

            [Service]
            ExecStart=\(command)
            \(variables)Restart=always
            RestartSec=5
            NoNewPrivileges=yes

            [Install]
            WantedBy=\(isForSystem ? "multi-user.target" : "default.target")

            """
    }

    /// A word in the unit file's syntax, with quotes and systemd's specifiers escaped.
    static func quoted(_ word: String) -> String {
        let escaped = word.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
            .replacing("%", with: "%%").replacing("\n", with: "\\n")
        return "\"\(escaped)\""
    }

    /// Whether this machine is managed by systemd.
    package static var isPossible: Bool {
        FileManager.default.fileExists(atPath: "/run/systemd/system")
    }

    /// The folder for units of this kind.
    ///
    /// - Throws: `InputError` if the user has no home folder
    package func folder() throws(InputError) -> String {
        if isForSystem { return "/etc/systemd/system" }
        let environment = ProcessInfo.processInfo.environment
        if let folder = environment["XDG_CONFIG_HOME"], folder.hasPrefix("/") {
            return "\(folder)/systemd/user"
        }
        guard let home = environment["HOME"], home.hasPrefix("/") else {
            throw InputError(
                "$HOME",
                "it is not set, and the unit is installed below it",
                fix: "Set HOME"
            )
        }
        return "\(home)/.config/systemd/user"
    }

    /// Writes the unit, replacing an earlier one.
    ///
    /// - Returns: path of the unit
    /// - Throws: `OutputError` if it cannot be written
    package func install(in folder: String) throws -> String {
        do {
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true
            )
        } catch {
            throw OutputError(folder, "the folder cannot be made")
        }
        let path = "\(folder)/\(name).service"
        let file = try TemporaryFile(for: path)
        try file.write(Array(text.utf8))
        try file.commit()
        return path
    }

    /// Commands that start the unit now and at every boot.
    package var startCommands: [String] {
        let control = isForSystem ? "systemctl" : "systemctl --user"
        let lingering = isForSystem ? [] : ["loginctl enable-linger"]
        return ["\(control) daemon-reload", "\(control) enable --now \(name)"] + lingering
    }
}
