import ArgumentParser
import Engine
import Fleet
import Foundation

extension ClusterCommand {
    /// `tessera cluster top`
    struct Top: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows live what every worker does, as the coordinator sees it.",
            discussion: """
                It reads what the coordinator writes every second, and asks no host and no worker. Without a terminal, or with \
                --once or --json, it prints one snapshot.
                """
        )

        @OptionGroup var file: HostsFlags

        @Flag(help: "Print one snapshot and end.")
        var once = false

        @Flag(help: "Print one line of JSON and end.")
        var json = false

        @Option(help: ArgumentHelp("Time between two snapshots.", valueName: "seconds"))
        var interval = 1.0

        mutating func validate() throws {
            guard interval.isFinite, (0.1...3600).contains(interval) else {
                throw ValidationError("--interval must be from 0.1 to 3600.")
            }
        }

        func run() throws {
            try ExitStatus.reporting {
                // Reports a missing or invalid file instead of showing an empty table.
                let read = try ClusterFile(file: file.cluster)
                try read.refuseRelay(file.cluster, "tessera cluster top")
                let folder = try ClusterFolder(for: file.cluster)
                func now() -> ClusterTop { folder.top(at: Date().timeIntervalSince1970) }
                if json { return try StandardOutput.write(json: now()) }
                guard !once, Terminal.isScreen else {
                    return try StandardOutput.write(lines: now().lines)
                }
                while true {
                    try StandardOutput.show(now().lines)
                    Thread.sleep(forTimeInterval: interval)
                }
            }
        }
    }
}

extension Terminal {
    /// Whether standard output is a terminal that can redraw lines.
    fileprivate static var isScreen: Bool {
        Terminal(
            isTerminal: isatty(STDOUT_FILENO) == 1,
            environment: ProcessInfo.processInfo.environment
        ).redraws
    }
}

extension StandardOutput {
    /// Replaces the contents of the terminal with these lines; those that do not fit are cut off.
    fileprivate static func show(_ lines: [String]) throws(OutputError) {
        var size = winsize()
        let isKnown = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        let (columns, rows) = isKnown ? (Int(size.ws_col), Int(size.ws_row)) : (80, 24)
        let shown = lines.prefix(max(1, rows - 1)).map {
            // Erase the line, then write it.
            "\u{1b}[2K" + String(Terminal.current.spelled($0).prefix(columns))
        }
        try write("\u{1b}[H" + shown.joined(separator: "\n") + "\u{1b}[J")
    }
}
