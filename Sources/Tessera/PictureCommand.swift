import ArgumentParser
import Coordinator
import Engine
import Foundation

/// A command for pictures described by flags: `render`, `coordinator` and `plan`.
protocol PictureCommand: ParsableCommand {
    var picture: PictureFlags { get set }
    var outputs: OutputFlags { get set }

    /// The render described by the flags; saves nothing.
    ///
    /// - Throws: `InputError` naming the flag with an invalid value
    func rendering() throws -> Rendering
}

/// A picture command that renders.
protocol RenderCommand: PictureCommand {
    var display: DisplayFlags { get }
    var job: JobFlags { get }

    /// How to obtain workers.
    ///
    /// - Throws: `InputError` naming the flag with an invalid value
    func opening() throws -> Rendering.Opening
}

extension PictureCommand {
    /// Its name on the command line.
    static var name: String { configuration.commandName ?? _commandName }

    /// The parser's description of this command.
    static var description: CommandDescription { Invocation.commands.find([name]).command }

    /// Parses flags.
    ///
    /// - Parameters:
    ///   - words: the words of the command line
    ///   - place: where they came from, for error messages
    /// - Returns: the parsed command
    /// - Throws: `InputError` with the parser's message
    static func read(_ words: [String], place: String) throws(InputError) -> Self {
        do {
            return try parse(FlagWords(words, of: description).spelled)
        } catch {
            let message = UsageText.sentence(message(for: error))
            throw InputError(place, message, fix: "See tessera \(name) --help")
        }
    }
}
