from baylight.cli import main

main()
